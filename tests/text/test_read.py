import random
import time

import pytest

from synth.text import Labels, read_report
from synth.text.read import MAX_CHARACTERS

CLEAN = "FINDINGS: Small left effusion. The lungs are clear.\nIMPRESSION: Small left effusion."


def test_a_plain_english_report_has_no_warnings():
    report = read_report(CLEAN)
    assert report.warnings == ()
    assert report.text == CLEAN
    assert report.text_used == "Small left effusion."
    assert report.labels["pleural_effusion"] == 1
    assert report.attributes["pleural_effusion"]["side"] == "left"
    assert report.scrubbed == {}


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        (CLEAN + " Compared to ___.", ()),
        (CLEAN + " Told Dr. Smith.", ("phi_suspected",)),
        (CLEAN + " Compared to 1/2/2003.", ("phi_suspected",)),
        (CLEAN + " Local code 12345.", ("phi_suspected",)),
        ("<p>" + CLEAN + "</p>", ("unwrapped",)),
        ("HALLAZGOS: Sin derrame en el tórax.", ("language_es",)),
        ("Befund: Kein Erguss und kein Infiltrat.", ("language_de",)),
        ("\x00\x01\x02\x03abc", ("binary",)),
        (CLEAN + " The heart is normal." * 1000, ("truncated",)),
        ("<p>Sin derrame en el tórax del Sr. García</p>",
         ("language_es", "phi_suspected", "unwrapped")),
        ("", ()),
    ],
)  # fmt: skip
def test_warnings(text, warnings):
    assert read_report(text).warnings == warnings


@pytest.mark.parametrize(
    "text",
    [
        "Sin edema ni hernia de hiato. Hallazgos: sin fractura.",
        "Sin edema.",
        "Kein Nachweis eines Pneumothorax, keine Fraktur.",
        "Sem sinais de edema. Sem fibrosis.",
    ],
)
def test_english_rules_do_not_judge_another_language(text):
    """Most findings are spelled alike, the negations are not."""
    report = read_report(text)
    assert set(report.labels.values()) == {None}
    assert (report.evidence, report.attributes) == ({}, {})


def test_another_labeller_gets_every_language():
    class Spanish:
        name = "es"

        def label(self, text: str) -> Labels:
            return Labels({"edema": 0}, {})

    assert read_report("Sin edema en el tórax.", labeler=Spanish()).labels == {"edema": 0}


def test_a_truncated_report_ends_with_a_whole_word_and_is_read():
    report = read_report(CLEAN + " abcdef" * 5000)
    assert len(report.text) <= MAX_CHARACTERS
    assert report.text.endswith(" abcdef")
    assert report.labels["pleural_effusion"] == 1


def test_no_half_identifier_is_left_where_the_text_is_cut():
    filler = "x" * (MAX_CHARACTERS - 6) + " "
    assert "123" not in read_report(filler + "123456789").text


@pytest.mark.parametrize("text", ["", "  \r\n\t", "___", "XXXX", "\x00" * 50, "12. 34.", "---"])
def test_a_report_without_words_makes_no_prompt(text):
    assert read_report(text).text_used == ""


def test_an_addendum_alone_is_used():
    assert read_report("ADDENDUM: Small nodule.").text_used == "Small nodule."


def test_known_identifiers_go_from_wrapped_text_too():
    report = read_report(r"{\rtf1 Percival has a nodule.}", known=["PERCIVAL"])
    assert "ercival" not in report.text
    assert report.scrubbed == {"known_identifier": 1}
    assert report.warnings == ("phi_suspected", "unwrapped")


def test_evidence_points_into_the_text_whatever_was_removed():
    report = read_report("\ufeff<p>Seen&nbsp;by Dr. Smith: no ___\u00a0 pneumothorax.</p>")
    (evidence,) = report.evidence["pneumothorax"]
    assert report.text[evidence.start : evidence.end] == "pneumothorax"


def test_random_text_never_raises():
    draw = random.Random(3)
    pieces = [CLEAN, "FINDINGS:", "\n", "___", "no ", "Dr. ", "Müller ", "1. ", "stable ", "\x00",
              "İ", "\ud800", "e\u0301", "<p>", "&lt;", "3/4/2005", "[**", "**]", "IMPRESSION", ".",
              "unchanged since the prior", "{", "\\"]  # fmt: skip
    for _ in range(300):
        report = read_report("".join(draw.choice(pieces) for _ in range(draw.randrange(20))))
        report.text_used.encode()
        report.text.encode()


@pytest.mark.parametrize("piece", ["now ", "interval ", "stable and ", "1. ", "<", "Dr. A ", "no "])
def test_hostile_text_is_read_in_bounded_time(piece):
    start = time.process_time()
    read_report(piece * (200_000 // len(piece)))
    assert time.process_time() - start < 3
