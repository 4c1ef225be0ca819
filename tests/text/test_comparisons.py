import time

import pytest

from synth.text import RuleLabeler
from synth.text.comparisons import drop_prior_comparisons


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # adjectives
        ("Unchanged small left effusion.", "Small left effusion."),
        ("Stable moderate cardiomegaly.", "Moderate cardiomegaly."),
        ("Worsening edema.", "Edema."),
        ("New right pneumothorax.", "Right pneumothorax."),
        ("Persistent but decreasing basal infiltrates.", "Basal infiltrates."),
        ("There is stable cardiomegaly.", "There is cardiomegaly."),
        ("Pacemaker in unchanged position.", "Pacemaker in position."),
        ("Normal and stable cardiac contour.", "Normal cardiac contour."),
        ("The heart is stable and within normal limits.", "The heart is within normal limits."),
        ("Stable appearance of the left apical scar.", "Left apical scar."),
        # afterthoughts and predicates
        ("Small left effusion, unchanged.", "Small left effusion."),
        ("Mild cardiomegaly unchanged.", "Mild cardiomegaly."),
        ("Mild edema, similar to prior.", "Mild edema."),
        ("Scar, stable since the prior examination.", "Scar."),
        ("Nodule as before.", "Nodule."),
        ("Slightly prominent but unchanged aorta. Hernia but unchanged.",
         "Slightly prominent aorta. Hernia."),
        ("The effusion has increased.", "The effusion."),
        ("Hernia, increased in size from prior exam.", "Hernia."),
        ("Effusion appears smaller than the prior study.", "Effusion."),
        ("Small nodule, unchanged since the prior exam.", "Small nodule."),
        # clauses
        ("Effusion compared to the prior study.", "Effusion."),
        ("As compared to the previous radiograph, there is a nodule.", "There is a nodule."),
        ("In comparison with the study of, edema is present.", "Edema is present."),
        ("Comparison is made with prior study. Edema.", "Edema."),
        # noun phrases
        ("Interval increase in left effusion.", "Left effusion."),
        ("Interval increase in size and number of nodules.", "Nodules."),
        ("There has been interval development of consolidation.", "Consolidation."),
        ("Interval placement of a left PICC.", "Left PICC."),
        ("Redemonstration of an elevated hemidiaphragm.", "Elevated hemidiaphragm."),
        ("The nodule is again noted.", "The nodule is noted."),
        ("No change in cardiomegaly.", "Cardiomegaly."),
        ("No significant change in the effusion or nodule.", "Effusion and nodule."),
        ("No interval change in the appearance of the opacities.", "Opacities."),
        ("No acute process or significant interval change.", "No acute process."),
        ("Interval resolution of the effusion.", "No effusion."),
        ("Near-complete resolution of the effusion.", "Near-complete resolution of the effusion."),
        ("No new consolidation.", "No consolidation."),
        # sentences that only compare
        ("No significant interval change. Small hernia.", "Small hernia."),
        ("Otherwise, stable exam. Hernia.", "Hernia."),
        ("Stable appearance of the chest.", ""),
        ("The cardiac silhouette is unchanged. Hernia.", "Hernia."),
        ("Hernia. Increased since the previous study.", "Hernia."),
        ("This is unchanged.", ""),
        ("No change.", ""),
        # left alone
        ("No pneumothorax.", "No pneumothorax."),
        ("Possible mild edema.", "Possible mild edema."),
        ("Increased interstitial markings.", "Increased interstitial markings."),
        ("Evidence of prior granulomatous disease.", "Evidence of prior granulomatous disease."),
        ("Previous sternotomy, old rib fractures.", "Previous sternotomy, old rib fractures."),
        ("A 2.5 cm nodule. Changes of COPD.", "A 2.5 cm nodule. Changes of COPD."),
        ("", ""),
    ],
)  # fmt: skip
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
        "No significant change in right pneumothorax or pleural effusion.",
        "Mild cardiomegaly unchanged. Decreasing right effusion, improved edema.",
    ):
        assert labeler.label(drop_prior_comparisons(text)).values == labeler.label(text).values


def test_dropping_twice_is_dropping_once():
    for text in ("Stable exam. Unchanged scar, new nodule.", "No change in effusion or edema."):
        once = drop_prior_comparisons(text)
        assert drop_prior_comparisons(once) == once


@pytest.mark.parametrize(
    "piece", ["interval ", "now ", "stable and ", "prior ", "since prior ", "no significant ", "."]
)
def test_hostile_text_is_read_in_linear_time(piece):
    start = time.process_time()
    drop_prior_comparisons("stable " + piece * (200_000 // len(piece)))
    assert time.process_time() - start < 3
