import pytest

from synth.errors import UsageError
from synth.text import RuleLabeler
from synth.text.modes import PARTS, chexpert_strongest, strongest

DEFAULT, CHEXPERT = RuleLabeler(), RuleLabeler("chexpert")
OBSERVATIONS = {
    *("no_finding", "enlarged_cardiomediastinum", "cardiomegaly", "lung_lesion", "lung_opacity"),
    *("edema", "consolidation", "pneumonia", "atelectasis", "pneumothorax", "pleural_effusion"),
    *("pleural_other", "fracture", "support_devices"),
}

# Whole reports with all their labels; what is not named is null.
REPORTS = [
    (
        "Cardiac silhouette normal and lungs clear. No pneumonia or edema. No pneumothorax.",
        {"cardiomegaly": 0, "pneumonia": 0, "edema": 0, "pneumothorax": 0, "no_finding": 1},
    ),
    (
        "1. Right effusion with atelectasis. A left effusion is also seen.\n\n"
        "2. Enlarged heart without edema.",
        {"pleural_effusion": 1, "atelectasis": 1, "cardiomegaly": 1, "edema": 0},
    ),
    (
        "Airspace disease in the right base, which may be pneumonia or consolidation.",
        {"lung_opacity": 1, "pneumonia": -1, "consolidation": -1},
    ),
    ("1. Mild cardiomegaly, stable. 2. Lungs are clear.", {"cardiomegaly": 1}),
    ("Pacemaker. No effusion.", {"support_devices": 1, "pleural_effusion": 0, "no_finding": 1}),
    ("Small nodule. Fibrosis.", {"lung_lesion": 1, "pleural_other": 1}),
    ("Bilateral infiltrates.", {"lung_opacity": 1}),
    ("Central vascular congestion.", {"edema": 1}),
    ("Heart failure.", {"edema": 1, "cardiomegaly": -1}),
    ("No heart failure.", {"edema": 0, "no_finding": 1}),
    ("Scoliosis.", {}),  # outside the fourteen, but a finding
    ("Lines are unchanged.", {"no_finding": 1}),
    ("Probable pneumonia.", {"pneumonia": -1}),
    ("Pneumonia is unlikely.", {"pneumonia": -1}),
    ("Borderline cardiomegaly.", {"cardiomegaly": -1}),
    ("No new effusion.", {"pleural_effusion": -1}),
    ("Consolidation.", {"consolidation": 1}),  # does not fill its parent
    ("", {}),
    ("  \n ", {}),
]


@pytest.mark.parametrize(("text", "expected"), REPORTS)
def test_whole_reports_as_chexpert_counts(text, expected):
    values = CHEXPERT.label(text).values
    assert set(values) == OBSERVATIONS
    assert {name: value for name, value in values.items() if value is not None} == expected


@pytest.mark.parametrize(
    ("text", "default", "chexpert"),
    [
        (
            "No nodule. Possible nodule. Small nodule.",
            1,
            -1,
        ),  # absent and uncertain is tested first
        ("No nodule. Small nodule.", 1, 1),
        ("Possible nodule. Small nodule.", 1, 1),
        ("No nodule. Possible nodule.", -1, -1),
        ("No nodule.", 0, 0),
    ],
)
def test_the_two_ways_of_counting(text, default, chexpert):
    assert DEFAULT.label(text).values["nodule"] == default
    assert CHEXPERT.label(text).values["lung_lesion"] == chexpert


def test_both_orders_as_functions():
    assert [strongest(v) for v in ([], [0], [0, -1], [0, -1, 1])] == [None, 0, -1, 1]
    assert [chexpert_strongest(v) for v in ([], [0], [0, 1], [-1, 1], [1, -1, 0])] == [
        *(None, 0, 1, 1, -1)
    ]


def test_evidence_in_chexpert_mode_has_the_value_that_counted():
    (item,) = CHEXPERT.label("Probable pneumonia.").evidence["pneumonia"]
    assert (item.rule, item.value) == ("uncertain:probable", -1)
    evidence = CHEXPERT.label("No nodule or mass.").evidence["lung_lesion"]
    assert [item.value for item in evidence] == [0, 0]


def test_parts_are_findings_and_the_keys_are_chexperts():
    known = {finding.name for finding in DEFAULT.findings}
    assert set(PARTS) | {"no_finding"} == OBSERVATIONS
    assert {part for parts in PARTS.values() for part in parts} | set(PARTS) <= known


def test_the_name_tells_the_mode():
    assert (DEFAULT.name, CHEXPERT.name) == ("rules-v2", "rules-v2-chexpert")


def test_an_unknown_mode_is_refused():
    with pytest.raises(UsageError, match=r"chexprt.*Did you mean `chexpert`"):
        RuleLabeler("chexprt")  # type: ignore[arg-type]
