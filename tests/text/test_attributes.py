import pytest

from synth.text import RuleLabeler

LABELER = RuleLabeler()
CASES = [
    ("Small left pleural effusion.", "pleural_effusion", {"side": "left", "severity": "small"}),
    ("Left pleural effusion, small.", "pleural_effusion", {"side": "left", "severity": "small"}),
    (
        "Small left pleural effusion and mild bibasilar atelectasis.",
        "atelectasis",
        {"side": "bilateral", "severity": "mild", "location": "bibasilar"},
    ),
    (
        "Small left pleural effusion and mild bibasilar atelectasis.",
        "pleural_effusion",
        {"side": "left", "severity": "small"},
    ),
    (
        "Consolidation in the right lower lobe.",
        "consolidation",
        {"side": "right", "location": "right lower lobe"},
    ),
    ("Bilateral effusions, left greater than right.", "pleural_effusion", {"side": "bilateral"}),
    (
        "There is a moderate to large right pneumothorax.",
        "pneumothorax",
        {"side": "right", "severity": "moderate to large"},
    ),
    (
        "The heart is moderately to severely enlarged.",
        "cardiomegaly",
        {"severity": "moderate to severe"},
    ),
    ("Moderate-sized hiatal hernia.", "hernia", {"severity": "moderate"}),
    (
        "Severe emphysema with a tiny right apical pneumothorax.",
        "emphysema",
        {"severity": "severe"},
    ),
    (
        "Severe emphysema with a tiny right apical pneumothorax.",
        "pneumothorax",
        {"side": "right", "severity": "tiny", "location": "right apical"},
    ),
    ("Nodule in the lingula.", "nodule", {"side": "left", "location": "lingula"}),
    (
        "Patchy opacities at both lung bases.",
        "lung_opacity",
        {"side": "bilateral", "location": "both lung bases"},
    ),
    (
        "Old fracture of the left 6th rib.",
        "fracture",
        {"side": "left", "location": "left 6th rib"},
    ),
    # left here, right there; the first severity stays
    (
        "Tiny right pneumothorax. Larger left pneumothorax.",
        "pneumothorax",
        {"side": "bilateral", "severity": "tiny"},
    ),
    (
        "Small right and moderate left effusions.",
        "pleural_effusion",
        {"side": "bilateral", "severity": "small"},
    ),
    # what is absent has no side
    (
        "No left effusion. Small right effusion.",
        "pleural_effusion",
        {"side": "right", "severity": "small"},
    ),
    ("Possible right nodule.", "nodule", {"side": "right"}),
]


@pytest.mark.parametrize(("text", "finding", "expected"), CASES)
def test_attributes(text, finding, expected):
    assert LABELER.label(text).attributes[finding] == expected


@pytest.mark.parametrize("text", ["No left effusion.", "Effusion.", "Rule out left effusion.", ""])
def test_nothing_is_said_of_what_is_absent_or_bare(text):
    assert LABELER.label(text).attributes == {}


def test_no_attributes_for_a_finding_that_ends_up_absent():
    for text, *_ in CASES:
        labels = LABELER.label(text)
        assert all(labels.values[name] in (1, -1) for name in labels.attributes)
        assert all(labels.attributes.values())
