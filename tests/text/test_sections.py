import random
import time

import pytest

from synth.text import split_sections
from synth.text.headers import HEADERS
from synth.text.openings import CONFIDENCE
from synth.text.sections import last_paragraph


def names(report):
    return [section.name for section in split_sections(report)]


BOTH = ["findings", "impression"]


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("", []),
        ("Clear lungs.", ["preamble"]),
        ("FINDINGS: Clear.\nIMPRESSION: Normal.", BOTH),
        ("findings: clear.\nimpression: normal.", BOTH),
        ("Findings : Clear.\n\nImpression : Normal.", BOTH),
        ("FINDINGS: Clear. IMPRESSION: Normal.", BOTH),
        ("findings: clear. impression: normal.", BOTH),
        ("FINDINGS: clear lungs IMPRESSION: normal", BOTH),
        ("Findings: clear lungs Impression: normal", BOTH),
        ("FINDINGS\nClear.\nIMPRESSION\nNormal.", BOTH),
        ("findings\nclear.\nimpression\nnormal.", BOTH),
        ("FINDINGS\nClear.\nIMPRESSION\nLikely edema.", BOTH),
        ("FINDINGS Clear.\nIMPRESSION Normal.", BOTH),
        ("FINDINGS Clear. IMPRESSION Normal.", BOTH),
        ("Findings The lungs are clear.\nImpression No acute disease.", BOTH),
        ("FINDINGS - Clear.\nImpression - normal.", BOTH),
        ("**FINDINGS:** Clear.\n\n## Impression\nNormal.", BOTH),
        ("FINDINGS:\r\nClear.\r\nIMPRESSION:\r\n1. Normal.\r\n", BOTH),
        ("Findings\r\nClear.\r\nImpression\r\nNormal.", BOTH),
        ("FINDINGS:\rClear.\rIMPRESSION:\rNormal.", BOTH),
        ("FINDINGS:\fClear.\f\tIMPRESSION:\tNormal.", BOTH),
        ("FINDINGS AND IMPRESSION: Clear.", ["findings_and_impression"]),
        ("Findings/Impression: Clear.", ["findings_and_impression"]),
        ("findings  &  impression\nClear.", ["findings_and_impression"]),
        (
            " FINAL REPORT\n INDICATION: Cough.\n COMPARISON: None.\n FINDINGS: Clear.\n",
            ["untitled", "indication", "comparison", "findings"],
        ),
        ("WET READ: No edema.\n ________\n FINAL REPORT\n CHEST: Clear.", ["wet_read", "untitled"]),
        ("ADDENDUM: Nodule.\n____\nFINDINGS: Clear.", ["addendum", "findings"]),
        ("Chest radiograph.\nCONCLUSION: Normal.", ["preamble", "impression"]),
        ("HALLAZGOS: Sin derrame.\nIMPRESIÓN: Normal.", BOTH),
        ("Informe: Sin derrame. Conclusión: normal.", BOTH),
        ("Técnica: PA.\nDescripción: Normal.\nImpresión diagnóstica: Normal", ["technique", *BOTH]),
        (
            "Klinische Angaben: Husten.\nBefund: Kein Erguss.\nBeurteilung: Normal",
            ["indication", *BOTH],
        ),
        ("ACHADOS: Sem derrame.\nIMPRESSÃO: Normal.", BOTH),
        ("Indicação: tosse.\nRelatório: Normal.\nConclusão: Normal.", ["indication", *BOTH]),
        ("Résultats : Pas d'épanchement.\nConclusion : Normal.", BOTH),
        ("Reperto: Non versamento.\nConclusioni: Normale.", BOTH),
    ],
)
def test_headers(report, expected):
    assert names(report) == expected


@pytest.mark.parametrize(
    "report",
    [
        "The findings are normal.",
        "The findings: a nodule.",
        "We discussed the\nfindings: a nodule.",
        "Impression of a mass on the lateral view.",
        "IMPRESSION OF A MASS IS SEEN.",
        "FINDINGS SUGGEST EDEMA.",
        "Findings are consistent with edema.",
        "Findings consistent with edema.",
        "There is the impression of a nodule: small.",
        "NO EFFUSION. FINDINGS SUGGEST EDEMA.",
        "No edema. See the report: normal.",
        "Clinical impression and history were discussed.",
        "The additional findings: clips. The study: limited.",
        "ndication: cough.",
        "Comparison with the prior study shows a nodule.",
        "Las conclusiones: ninguna.",
    ],
)
def test_words_inside_sentences_are_no_headers(report):
    assert names(report) == ["preamble"]


def test_sections_joined_are_the_report():
    draw = random.Random(0)
    headers = [wording for wordings in HEADERS.values() for wording in wordings]
    pieces = ["Clear lungs", ". ", ": ", "\n", "\r\n", "\r", "\n\n", "1. ", "___", "\t", "é\x00🫁"]
    pieces += ["İ", "\n______\n", "the ", " - ", "\u2028", "e\u0301", "**", "："]
    for _ in range(1500):
        words = [
            draw.choice([*pieces, draw.choice(headers), draw.choice(headers).upper()])
            for _ in range(draw.randrange(30))
        ]
        report = "".join(words)
        sections = split_sections(report)
        assert "".join(report[section.start : section.end] for section in sections) == report
        assert all(s.start <= s.body <= s.end for s in sections)
        start, end = last_paragraph(report)
        assert 0 <= start <= end <= len(report)


def test_any_characters_are_split_without_loss():
    draw = random.Random(1)
    for _ in range(300):
        report = "".join(
            chr(draw.choice((draw.randrange(256), draw.randrange(0xD800)))) for _ in range(99)
        )
        assert "".join(report[s.start : s.end] for s in split_sections(report)) == report


@pytest.mark.parametrize(
    ("report", "rule"),
    [
        ("Findings: Clear", "line"),
        ("Findings\nClear", "alone"),
        ("Findings - Clear", "dash"),
        ("FINDINGS Clear", "upper"),
        ("Findings Clear", "title"),
        ("Clear", "none"),
    ],
)
def test_the_rule_and_its_confidence_are_reported(report, rule):
    (section,) = split_sections(report)
    assert section.rule == rule
    assert section.confidence == CONFIDENCE[rule]
    assert 0 < section.confidence <= 1


def test_body_excludes_the_header():
    report = "IMPRESSION:  Small nodule."
    (section,) = split_sections(report)
    assert section.text(report) == "  Small nodule."


def test_a_ruler_closes_an_addendum():
    report = "ADDENDUM: Nodule.\n__________\nThe lungs are clear.\nIMPRESSION: Normal."
    assert names(report) == ["addendum", "untitled", "impression"]


def test_text_behind_a_form_field_is_not_of_it():
    assert names("MRN: 1\nThe lungs are clear.") == ["header", "untitled"]
    assert names("MRN: 1\nDOB: 2\nFINDINGS: Clear.") == ["header", "header", "findings"]


def test_findings_without_a_header_are_not_swallowed_by_the_indication():
    report = "INDICATION: Cough.\n\nThe lungs are clear.\n\nIMPRESSION: Normal."
    assert names(report) == ["indication", "untitled", "impression"]
    with_findings = "HISTORY: Cough.\n\nPneumonia in May.\n\nFINDINGS: Clear."
    assert names(with_findings) == ["history", "findings"]


def test_studies_are_counted():
    report = (
        "EXAM: Chest\nFINDINGS: Clear.\nIMPRESSION: Normal.\nEXAM: Knee\nFINDINGS: Gonarthrosis."
    )
    assert [s.study for s in split_sections(report)] == [0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("Chest.\n\nClear lungs.\nNo effusion.\n\n___\n", "Clear lungs.\nNo effusion."),
        ("Clear lungs.\n\nDICTATED BY: Jane Doe\n", "Clear lungs."),
        ("INDICATION: Cough.\n\nClear lungs.\r\n\r\n", "Clear lungs."),
        ("COMPARISON: none known", "COMPARISON: none known"),
        ("", ""),
    ],
)
def test_last_paragraph_is_the_last_of_the_image(report, expected):
    assert report[slice(*last_paragraph(report))] == expected


@pytest.mark.parametrize(
    "piece",
    ["findings ", "FINDINGS: ", " ", "\n", "\n ", "_____\n", "MRN:\n\n", "INDICATION: abc\n\nabc"],
)
def test_hostile_text_is_split_in_linear_time(piece):
    report = piece * (200_000 // len(piece))
    start = time.process_time()
    split_sections(report)
    last_paragraph(report)
    assert time.process_time() - start < 2
