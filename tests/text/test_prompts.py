import pytest

from synth.text import RuleLabeler, conditioning_text, read_report
from synth.text.prompts import clean, drop_prior_comparisons

REPORT = """FINDINGS: The lungs are clear.
 Small hiatal hernia.

IMPRESSION:
1. Small hiatal
   hernia.
2. No effusion.
"""


def test_policy_takes_the_first_source_with_words():
    assert conditioning_text(REPORT) == "Small hiatal hernia. No effusion."
    assert conditioning_text(REPORT, ("findings",)) == "The lungs are clear. Small hiatal hernia."
    assert conditioning_text("Chest.\n\nClear lungs.") == "Clear lungs."
    assert conditioning_text("FINDINGS: Clear lungs.\nIMPRESSION: ___") == "Clear lungs."
    assert conditioning_text("FINDINGS AND IMPRESSION: Clear.") == "Clear."
    assert conditioning_text("") == ""
    assert conditioning_text("___ 12.") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Small left effusion, unchanged.", "Small left effusion."),
        ("Unchanged small left effusion.", "Small left effusion."),
        ("Stable moderate cardiomegaly.", "Moderate cardiomegaly."),
        ("Mild edema, similar to prior.", "Mild edema."),
        ("Effusion compared to the prior study.", "Effusion."),
        ("As compared to the previous radiograph, there is a nodule.", "There is a nodule."),
        ("Interval increase in left effusion.", "Left effusion."),
        ("There has been interval development of consolidation.", "Consolidation."),
        ("No change in cardiomegaly.", "Cardiomegaly."),
        ("Worsening edema.", "Edema."),
        ("The effusion has increased.", "The effusion."),
        ("Small nodule, unchanged since the prior exam.", "Small nodule."),
        ("New right pneumothorax.", "Right pneumothorax."),
        ("Pacemaker in unchanged position.", "Pacemaker in position."),
        ("No significant interval change. Small hernia.", "Small hernia."),
        ("In comparison with the study of, edema is present.", "Edema is present."),
        ("Comparison is made with prior study. Edema.", "Edema."),
        ("No pneumothorax.", "No pneumothorax."),
        ("Possible mild edema.", "Possible mild edema."),
    ],
)
def test_comparisons_are_dropped(text, expected):
    assert drop_prior_comparisons(text) == expected


def test_dropping_comparisons_keeps_the_labels():
    labeler = RuleLabeler()
    for text in (
        "Small left effusion, unchanged since the prior study. No pneumothorax.",
        "Interval increase in edema. Possible pneumonia, new since the previous film.",
        "Stable cardiomegaly; unchanged hiatal hernia. Interval resolution of the effusion.",
        "The nodule has not changed. The pneumothorax has resolved.",
        "Compared to the prior study, no longer seen is the consolidation. Persistent atelectasis.",
    ):
        assert labeler.label(drop_prior_comparisons(text)).values == labeler.label(text).values


def test_comparisons_can_stay():
    report = read_report("IMPRESSION: Nodule, unchanged.", drop_comparisons=False)
    assert report.text_used == "Nodule, unchanged."


def test_list_numbers_go_but_measurements_stay():
    assert clean("1. Nodule of 1.5 cm. 2. Edema.") == "Nodule of 1.5 cm. Edema."
    assert clean("- Nodule\n- Edema") == "Nodule Edema"
