import pytest

from synth.text import FINDING_NAMES, Evidence, Labels, RuleLabeler, read_report

LABELER = RuleLabeler()

# (sentence, finding, expected)
CASES = [
    # plain mentions
    ("There is a small left pleural effusion.", "pleural_effusion", 1),
    ("Moderate cardiomegaly.", "cardiomegaly", 1),
    ("Dense consolidation in the right lower lobe.", "consolidation", 1),
    ("A 9 mm nodule in the left upper lobe.", "nodule", 1),
    ("Bibasilar atelectatic changes.", "atelectasis", 1),
    ("Interstitial oedema.", "edema", 1),
    ("Large hiatal hernia.", "hernia", 1),
    ("Dual-lead pacemaker with leads in the right atrium and ventricle.", "pacemaker", 1),
    ("Dual-lead pacemaker with leads in the right atrium and ventricle.", "support_devices", None),
    ("Bullous emphysema in both apices.", "emphysema", 1),
    ("Old healed rib fractures.", "fracture", 1),
    ("S-shaped scoliosis of the thoracic spine.", "scoliosis", 1),
    ("Biapical pleural thickening.", "pleural_thickening", 1),
    ("Endotracheal tube tip 4 cm above the carina.", "support_devices", 1),
    ("Findings are consistent with pneumonia.", "pneumonia", 1),
    ("The cardiomediastinal silhouette is enlarged.", "cardiomegaly", 1),
    ("The heart is mildly enlarged.", "cardiomegaly", 1),
    ("Heart size is moderately to severely enlarged.", "cardiomegaly", 1),
    ("Enlarged cardiac silhouette.", "cardiomegaly", 1),
    ("Left   pleural\n   effusion.", "pleural_effusion", 1),
    ("PLEURAL EFFUSION ON THE LEFT.", "pleural_effusion", 1),
    # negation before
    ("No pneumothorax.", "pneumothorax", 0),
    ("No pneumothorax or large effusion.", "pneumothorax", 0),
    ("No pneumothorax or large effusion.", "pleural_effusion", 0),
    ("There is no evidence of pneumonia.", "pneumonia", 0),
    ("Lungs are well expanded without focal consolidation.", "consolidation", 0),
    ("No focal consolidation, pleural effusion, or pneumothorax.", "pneumothorax", 0),
    ("No focal consolidation, pleural effusion, or pneumothorax.", "pleural_effusion", 0),
    ("No consolidation, large effusion, or edema is seen.", "pleural_effusion", 0),
    ("Negative for pneumothorax.", "pneumothorax", 0),
    ("Absence of pleural effusion.", "pleural_effusion", 0),
    ("Neither pneumothorax nor effusion.", "pleural_effusion", 0),
    ("The lungs are free of consolidation.", "consolidation", 0),
    ("The heart is not enlarged.", "cardiomegaly", 0),
    ("The study does not show a pneumothorax.", "pneumothorax", 0),
    ("No definite pneumothorax.", "pneumothorax", 0),
    ("No new consolidation.", "consolidation", 0),
    ("Interval resolution of the left pleural effusion.", "pleural_effusion", 0),
    ("No rib\n fracture.", "fracture", 0),
    # negation after
    ("Pneumothorax is not seen.", "pneumothorax", 0),
    ("The previously seen left pleural effusion has resolved.", "pleural_effusion", 0),
    ("Resolved effusion.", "pleural_effusion", 0),
    ("The apical pneumothorax is no longer seen.", "pneumothorax", 0),
    ("Pleural effusion and pneumothorax are not seen.", "pleural_effusion", 0),
    ("Pleural effusion and pneumothorax are not seen.", "pneumothorax", 0),
    ("Pneumothorax: none.", "pneumothorax", 0),
    ("The endotracheal tube has been removed.", "support_devices", 0),
    ("Pneumonia has been ruled out.", "pneumonia", 0),
    # scope ends
    ("No pneumothorax, but small left effusion.", "pleural_effusion", 1),
    ("No pneumothorax; moderate effusion.", "pleural_effusion", 1),
    ("No pneumothorax, moderate cardiomegaly.", "cardiomegaly", 1),
    ("No pneumothorax and mild cardiomegaly.", "cardiomegaly", 1),
    ("No pneumothorax is seen and the heart is enlarged.", "cardiomegaly", 1),
    ("No acute process except a small pleural effusion.", "pleural_effusion", 1),
    ("Clear lungs without effusion, with mild cardiomegaly.", "cardiomegaly", 1),
    ("No effusion. Large pneumothorax.", "pneumothorax", 1),
    ("Small effusion without pneumothorax.", "pleural_effusion", 1),
    ("Small effusion without pneumothorax.", "pneumothorax", 0),
    ("Cardiomegaly, no edema.", "cardiomegaly", 1),
    ("Cardiomegaly, no edema.", "edema", 0),
    ("No nodule of 1.5 cm or more, however there is consolidation.", "consolidation", 1),
    # pseudo-negation
    ("No change in the left pleural effusion.", "pleural_effusion", 1),
    ("No significant interval change in cardiomegaly.", "cardiomegaly", 1),
    ("No increase in pneumothorax.", "pneumothorax", 1),
    ("The effusion has not resolved.", "pleural_effusion", 1),
    ("The pneumothorax has nearly resolved.", "pneumothorax", 1),
    ("Not only consolidation but also effusion.", "consolidation", 1),
    ("Without significant change in the right nodule.", "nodule", 1),
    ("Partial resolution of the edema.", "edema", 1),
    # priors
    ("Unchanged small left pleural effusion.", "pleural_effusion", 1),
    ("Stable cardiomegaly.", "cardiomegaly", 1),
    ("The edema has improved.", "edema", 1),
    ("Pleural effusion, decreased since prior.", "pleural_effusion", 1),
    # uncertainty before
    ("Possible pneumonia.", "pneumonia", -1),
    ("Cannot exclude a small pneumothorax.", "pneumothorax", -1),
    ("Opacity may represent atelectasis.", "atelectasis", -1),
    ("Opacity may represent atelectasis or early consolidation.", "consolidation", -1),
    ("Findings suspicious for a mass.", "mass", -1),
    ("Probable small effusion.", "pleural_effusion", 1),
    ("Questionable nodule in the right mid lung.", "nodule", -1),
    ("Likely left basal atelectasis.", "atelectasis", 1),
    ("Concerning for pneumonia.", "pneumonia", -1),
    ("Does not exclude pneumothorax.", "pneumothorax", -1),
    ("Raises the possibility of emphysema.", "emphysema", -1),
    ("Possible pneumonia and small pleural effusion.", "pleural_effusion", 1),
    ("Possible effusion, no pneumothorax.", "pneumothorax", 0),
    ("Possible effusion, no pneumothorax.", "pleural_effusion", -1),
    ("Small effusion, possibly with consolidation.", "pleural_effusion", 1),
    # uncertainty after
    ("A small pneumothorax cannot be excluded.", "pneumothorax", -1),
    ("Mild edema is possible.", "edema", -1),
    ("Hiatal hernia is suspected.", "hernia", -1),
    ("Pneumonia is not excluded.", "pneumonia", -1),
    ("Atelectasis versus pneumonia at the left base.", "atelectasis", -1),
    ("Atelectasis versus pneumonia at the left base.", "pneumonia", -1),
    ("Left basal atelectasis or consolidation.", "atelectasis", -1),
    ("Left basal atelectasis or consolidation.", "consolidation", -1),
    ("Heart size is borderline.", "cardiomegaly", -1),
    ("Top normal heart size.", "cardiomegaly", -1),
    ("Blunting of the left costophrenic angle.", "pleural_effusion", -1),
    ("Nodular opacities that most likely represent nipple shadows.", "nodule", -1),
    ("In this setting, pneumonia would have to be considered.", "pneumonia", -1),
    # normal statements
    ("Heart size is normal.", "cardiomegaly", 0),
    ("The heart size and mediastinal contours are normal.", "cardiomegaly", 0),
    ("Normal cardiomediastinal silhouette.", "cardiomegaly", 0),
    ("Cardiac silhouette is within normal limits.", "cardiomegaly", 0),
    ("Heart is normal in size.", "cardiomegaly", 0),
    ("The lungs are clear.", "consolidation", 0),
    ("The lungs are clear.", "nodule", 0),
    ("The lungs are clear.", "pneumothorax", None),
    ("The costophrenic angles are sharp.", "pleural_effusion", 0),
    ("The pulmonary vasculature is normal.", "edema", 0),
    ("The lungs are clear of consolidation.", "nodule", None),
    # wordings that only look alike
    ("Pseudonodule from the nipple.", "nodule", None),
    ("Subcutaneous emphysema along the chest wall.", "emphysema", None),
    ("Pericardial effusion.", "pleural_effusion", None),
    ("Soft tissue edema.", "edema", None),
    ("Massive enlargement of the azygos vein.", "mass", None),
    ("Body mass index 31.", "mass", None),
    ("Small inguinal hernia.", "hernia", None),
    # asked, not stated
    ("Rule out pneumothorax.", "pneumothorax", None),
    ("History of emphysema.", "emphysema", None),
    ("Evaluate for pneumonia.", "pneumonia", None),
    # not stated
    ("The bones are intact.", "pneumothorax", None),
    ("", "pneumothorax", None),
    # the whole
    ("No acute cardiopulmonary process.", "no_finding", 1),
    ("The lungs are clear. Heart size is normal.", "no_finding", 1),
    ("Small nodule.", "no_finding", 0),
    ("Possible nodule.", "no_finding", -1),
    ("Pacemaker in place. No effusion.", "no_finding", 1),
    ("Overlying leads.", "no_finding", None),
]


@pytest.mark.parametrize(("text", "finding", "expected"), CASES)
def test_label(text, finding, expected):
    labels = LABELER.label(text)
    assert labels.values[finding] == expected, labels.evidence.get(finding)


def test_every_finding_is_a_key():
    assert tuple(LABELER.label("").values) == FINDING_NAMES


def test_present_beats_uncertain_beats_absent():
    assert LABELER.label("No nodule. Possible nodule.").values["nodule"] == -1
    assert LABELER.label("No nodule. Possible nodule. Small nodule.").values["nodule"] == 1


def test_indication_and_comparison_are_not_labelled():
    text = (
        "INDICATION: pneumonia.\nCOMPARISON: prior film with large pneumothorax.\n"
        "FINDINGS: Small effusion."
    )
    values = LABELER.label(text).values
    assert values["pneumonia"] is None
    assert values["pneumothorax"] is None
    assert values["pleural_effusion"] == 1


def test_evidence_spans_point_at_the_words():
    text = "FINDINGS: No   pneumothorax.\r\nIMPRESSION:\r\n1. Small left\r\n pleural  effusion."
    evidence = LABELER.label(text).evidence
    (absent,) = evidence["pneumothorax"]
    assert text[absent.start : absent.end] == "pneumothorax"
    assert absent.rule == "negated:no"
    (present,) = evidence["pleural_effusion"]
    assert text[present.start : present.end] == "pleural  effusion"
    assert present.rule == "mention"


def test_evidence_is_start_end_rule_and_points_into_the_scrubbed_text():
    report = read_report("  \nFINDINGS: ___ Possible hernia. Seen by Dr. Smith.")
    ((start, end, rule),) = report.evidence["hernia"]
    assert report.text[start:end] == "hernia"
    assert rule == "uncertain:possible"


def test_another_labeler_can_be_plugged_in():
    class Always:
        name = "always-v0"

        def label(self, text: str) -> Labels:
            return Labels({"hernia": 1}, {"hernia": (Evidence(0, len(text), "mention"),)})

    report = read_report("anything", labeler=Always())
    assert report.labels == {"hernia": 1}
    assert report.label_source == "always-v0"


def test_characters_that_grow_when_lower_cased_do_not_shift_spans():
    text = "İİİ. Small nodule."
    ((start, end, _),) = LABELER.label(text).evidence["nodule"]
    assert text[start:end] == "nodule"
