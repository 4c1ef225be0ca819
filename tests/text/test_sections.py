import random

import pytest

from synth.text import split_sections
from synth.text.sections import HEADERS, last_paragraph


def names(report):
    return [section.name for section in split_sections(report)]


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("", []),
        ("Clear lungs.", ["preamble"]),
        ("FINDINGS: Clear.\nIMPRESSION: Normal.", ["findings", "impression"]),
        ("findings: clear.\nimpression: normal.", ["findings", "impression"]),
        ("Findings : Clear.\n\nImpression : Normal.", ["findings", "impression"]),
        ("FINDINGS: Clear. IMPRESSION: Normal.", ["findings", "impression"]),
        ("FINDINGS\nClear.\nIMPRESSION\nNormal.", ["findings", "impression"]),
        ("FINDINGS Clear.\nIMPRESSION Normal.", ["findings", "impression"]),
        ("FINDINGS:\r\nClear.\r\nIMPRESSION:\r\n1. Normal.\r\n", ["findings", "impression"]),
        ("Findings\r\nClear.\r\nImpression\r\nNormal.", ["findings", "impression"]),
        ("FINDINGS:\rClear.\rIMPRESSION:\rNormal.", ["findings", "impression"]),
        ("FINDINGS AND IMPRESSION: Clear.", ["findings_and_impression"]),
        ("Findings/Impression: Clear.", ["findings_and_impression"]),
        (
            " FINAL REPORT\n INDICATION: Cough.\n COMPARISON: None.\n FINDINGS: Clear.\n",
            ["header", "indication", "comparison", "findings"],
        ),
        ("ADDENDUM: Nodule.\n____\nFINDINGS: Clear.", ["addendum", "findings"]),
        ("Chest radiograph.\nCONCLUSION: Normal.", ["preamble", "impression"]),
        ("The findings are normal.", ["preamble"]),
        ("There is the impression of a nodule: small.", ["preamble"]),
        ("ndication: cough.", ["preamble"]),
    ],
)
def test_headers(report, expected):
    assert names(report) == expected


def test_sections_joined_are_the_report():
    draw = random.Random(0)
    headers = [wording for wordings in HEADERS.values() for wording in wordings]
    pieces = ["Clear lungs", ". ", ": ", "\n", "\r\n", "\r", "\n\n", "1. ", "___", "\t", "é\x00🫁"]
    for _ in range(500):
        words = [
            draw.choice([*pieces, draw.choice(headers), draw.choice(headers).upper()])
            for _ in range(draw.randrange(30))
        ]
        report = "".join(words)
        sections = split_sections(report)
        assert "".join(report[section.start : section.end] for section in sections) == report
        assert all(s.start <= s.body <= s.end for s in sections)


def test_body_excludes_the_header():
    report = "IMPRESSION:  Small nodule."
    (section,) = split_sections(report)
    assert section.text(report) == "  Small nodule."
    assert section.rule == "line"


def test_last_paragraph_is_the_last_with_words():
    report = "Chest.\n\nClear lungs.\nNo effusion.\n\n___\n"
    start, end = last_paragraph(report)
    assert report[start:end] == "Clear lungs.\nNo effusion."
