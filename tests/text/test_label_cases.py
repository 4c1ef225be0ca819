"""Hand-written sentences: scopes, pseudo-negation, doubt, history, and every class of finding."""

import re

import pytest

from synth.text import FINDING_NAMES, RuleLabeler
from synth.text import cues as cues_module
from synth.text.cues import find_cues
from synth.text.findings import FINDINGS, STATEMENTS
from synth.text.mentions import find_mentions, vocabulary

LABELER = RuleLabeler()
VOCABULARY = vocabulary(FINDINGS, STATEMENTS)

SCOPES = [
    ("No new effusion.", {"pleural_effusion": 0}),
    ("Without effusion or pneumothorax.", {"pleural_effusion": 0, "pneumothorax": 0}),
    ("No pneumothorax or large effusion.", {"pneumothorax": 0, "pleural_effusion": 0}),
    (
        "No effusion, consolidation, or pneumothorax.",
        {"pleural_effusion": 0, "consolidation": 0, "pneumothorax": 0},
    ),
    (
        "No focal consolidation, pneumothorax, or large pleural effusion is identified.",
        {"consolidation": 0, "pneumothorax": 0, "pleural_effusion": 0},
    ),
    (
        "No effusion, consolidation or pneumothorax. Cardiomegaly.",
        {"pleural_effusion": 0, "cardiomegaly": 1},
    ),
    ("Effusion is not seen.", {"pleural_effusion": 0}),
    ("Effusion not identified.", {"pleural_effusion": 0}),
    ("No pneumothorax is seen; the effusion persists.", {"pneumothorax": 0, "pleural_effusion": 1}),
    ("No effusion but consolidation.", {"pleural_effusion": 0, "consolidation": 1}),
    (
        "There is no pneumothorax but a small effusion persists.",
        {"pneumothorax": 0, "pleural_effusion": 1},
    ),
    ("Neither consolidation nor effusion is present.", {"consolidation": 0, "pleural_effusion": 0}),
    (
        "The effusion is unchanged, and there is no pneumothorax.",
        {"pleural_effusion": 1, "pneumothorax": 0},
    ),
    ("There are no signs of congestive heart failure.", {"heart_failure": 0}),
    ("There is no evidence for active tuberculosis.", {"tuberculosis": 0}),
    ("No definite interstitial changes of pulmonary edema.", {"edema": 0}),
    ("No typical findings of pulmonary edema.", {"edema": 0}),
    ("No emphysematous changes.", {"emphysema": 0}),
    ("Does not appear to be a hydropneumothorax.", {"pneumothorax": 0, "pleural_effusion": 0}),
    ("Atelectasis rather than pneumonia.", {"atelectasis": 1, "pneumonia": 0}),
    ("Scarring as opposed to consolidation.", {"scarring": 1, "consolidation": 0}),
    ("Interval removal of the endotracheal tube.", {"support_devices": 0}),
    ("Resolved pneumonia.", {"pneumonia": 0}),
    ("The pneumonia has completely resolved.", {"pneumonia": 0}),
    ("Previously noted effusion no longer seen.", {"pleural_effusion": 0}),
    ("The cardiac silhouette is not enlarged.", {"cardiomegaly": 0}),
    (
        "No pulmonary edema, however there is mild vascular congestion.",
        {"edema": 0, "pulmonary_congestion": 1},
    ),
    (
        "No pneumothorax, pneumomediastinum, or pleural effusion; small hiatal hernia.",
        {"pneumothorax": 0, "pneumomediastinum": 0, "pleural_effusion": 0, "hernia": 1},
    ),
    ("No effusion.Small nodule. Size 1.5 cm.", {"pleural_effusion": 0, "nodule": 1}),
]
NOT_NEGATED = [
    ("No change in the large effusion.", {"pleural_effusion": 1}),
    ("No interval change in cardiomegaly.", {"cardiomegaly": 1}),
    (
        "No significant change in right pneumothorax or pleural fluid.",
        {"pneumothorax": 1, "pleural_effusion": 1},
    ),
    ("Effusion without change.", {"pleural_effusion": 1}),
    ("No resolution of the left effusion.", {"pleural_effusion": 1}),
    ("The pneumothorax is not absent.", {"pneumothorax": 1}),
    ("No absence of pneumothorax.", {"pneumothorax": 1}),
    ("Lungs are not free of consolidation.", {"consolidation": 1}),
    ("The edema has not improved.", {"edema": 1}),
    ("The effusion has almost completely resolved.", {"pleural_effusion": 1}),
    ("Without doubt there is pneumonia.", {"pneumonia": 1}),
    ("Not only atelectasis but consolidation.", {"atelectasis": 1, "consolidation": 1}),
    ("Age-indeterminate rib fractures.", {"fracture": 1}),
    ("Atelectasis or scarring at the left base.", {"atelectasis": 1, "scarring": 1}),
    ("Small hiatal hernia, not as well seen as on the prior.", {"hernia": 1}),
    # a normal right lung says nothing of the left
    ("Right lung is clear.", {"consolidation": None, "atelectasis": None}),
]
DOUBT = [
    ("Cannot entirely exclude pneumonia.", {"pneumonia": -1}),
    ("Early pneumonia is not excluded.", {"pneumonia": -1}),
    ("It is difficult to completely exclude a superimposed pneumonia.", {"pneumonia": -1}),
    ("Effusion, small, cannot be excluded.", {"pleural_effusion": -1}),
    ("Pneumonia is less likely.", {"pneumonia": -1}),
    ("Less likely pneumonia.", {"pneumonia": -1}),
    ("Pneumonia? Clinical correlation.", {"pneumonia": -1}),
    ("?pneumonia in the right base.", {"pneumonia": -1}),
    ("Question of a small nodule.", {"nodule": -1}),
    ("Question small bilateral pleural effusions.", {"pleural_effusion": -1}),
    ("Small bilateral pleural effusions suspected.", {"pleural_effusion": -1}),
    ("Favor atelectasis over pneumonia.", {"atelectasis": 1, "pneumonia": -1}),
    ("In the appropriate clinical setting this is compatible with pneumonia.", {"pneumonia": -1}),
    ("A superimposed pneumonia would be a consideration.", {"pneumonia": -1}),
    (
        "Opacity, differential includes pneumonia, atelectasis and mild edema.",
        {"lung_opacity": 1, "pneumonia": -1, "atelectasis": -1, "edema": -1},
    ),
    ("Atelectasis versus infiltrate.", {"atelectasis": -1, "infiltration": -1}),
    ("Nodular opacity in the left lung.", {"nodule": -1, "lung_lesion": 1}),
    ("Concern is for nodule.", {"nodule": -1}),
    ("May be likely pneumonia.", {"pneumonia": -1}),
    ("Heart size is at the upper limits of normal.", {"cardiomegaly": -1}),
    ("Heart size is upper limits normal or mildly enlarged.", {"cardiomegaly": -1}),
]
LIKELIHOOD = [
    ("Probable bilateral effusions.", {"pleural_effusion": 1}),
    ("Opacity is most likely atelectasis.", {"atelectasis": 1}),
    ("Streaky opacities most suggestive of atelectasis.", {"atelectasis": 1}),
    ("Airspace disease favored to represent pneumonia.", {"pneumonia": 1}),
    ("Borderline cardiomegaly.", {"cardiomegaly": 1}),
    ("The heart is borderline enlarged.", {"cardiomegaly": 1}),
    ("Borderline enlargement of the heart.", {"cardiomegaly": 1}),
    ("This is unlikely to represent pneumonia.", {"pneumonia": 0}),
    ("Pneumonia is unlikely.", {"pneumonia": 0}),
    ("Pneumonia not likely.", {"pneumonia": 0}),
    ("Hyperinflation, unlikely pneumonia.", {"hyperinflation": 1, "pneumonia": 0}),
    ("No likely pneumonia.", {"pneumonia": 0}),
]
ANOTHER_TIME = [
    ("History of pneumonia.", {"pneumonia": None}),
    ("Status post pneumonia.", {"pneumonia": None}),
    ("Status post right clavicle fracture.", {"fracture": 1}),
    ("Status post pacemaker placement.", {"pacemaker": 1}),
    ("Recommend CT to exclude mass.", {"mass": None}),
    ("If there is concern for pneumonia, CT is recommended.", {"pneumonia": None}),
    ("Please correlate clinically for pneumonia.", {"pneumonia": None}),
    ("Please note that nondisplaced fractures may not be demonstrated.", {"fracture": None}),
    ("Rib fractures may not be visible.", {"fracture": None}),
    ("Compare with the previously described nodule.", {"nodule": None}),
    ("History of emphysema with new effusion.", {"emphysema": None, "pleural_effusion": 1}),
]
CLASSES = [
    ("ETT 3 cm above carina.", {"support_devices": 1}),
    ("The mediastinum is widened.", {"enlarged_cardiomediastinum": 1}),
    ("Mediastinal contours are normal.", {"enlarged_cardiomediastinum": 0}),
    ("Heart is large.", {"cardiomegaly": 1}),
    ("Interval increase in size of the cardiac silhouette.", {"cardiomegaly": 1}),
    ("Patchy airspace disease.", {"lung_opacity": 1, "consolidation": None}),
    ("Cavitary lesion in the apex.", {"lung_lesion": 1, "cavity": 1}),
    ("Bilateral infiltrates.", {"infiltration": 1}),
    ("Lower lobe fibrosis.", {"fibrosis": 1}),
    ("Biapical scarring.", {"scarring": 1}),
    ("Calcified granuloma in the right lung.", {"calcified_granuloma": 1, "granuloma": None}),
    ("Old granulomatous disease.", {"granuloma": 1}),
    ("Increased interstitial markings.", {"interstitial_pattern": 1}),
    ("Traction bronchiectasis.", {"bronchiectasis": 1}),
    ("Peribronchial cuffing.", {"bronchial_thickening": 1}),
    ("Flattened diaphragms consistent with COPD.", {"hyperinflation": 1, "copd": 1}),
    ("Low lung volumes.", {"hypoinflation": 1}),
    ("Right-sided volume loss.", {"volume_loss": 1}),
    ("Collapse of a substantial portion of the left lung.", {"atelectasis": 1}),
    ("The aorta is tortuous and calcified.", {"aortic_elongation": 1, "aortic_calcification": 1}),
    ("Ascending aortic aneurysm.", {"aortic_enlargement": 1}),
    ("Enlarged pulmonary arteries.", {"enlarged_pulmonary_artery": 1}),
    ("Prominent hilar contours.", {"hilar_enlargement": 1}),
    ("Mediastinal lymphadenopathy.", {"lymphadenopathy": 1}),
    ("Mediastinal shift to the right.", {"mediastinal_shift": 1}),
    ("Small pleural air collection.", {"pneumothorax": 1}),
    ("Hydropneumothorax.", {"pneumothorax": 1, "pleural_effusion": 1}),
    ("Empyema.", {"pleural_other": 1}),
    ("Blunting of the right costophrenic angle.", {"costophrenic_blunting": 1}),
    ("Elevated left hemidiaphragm.", {"hemidiaphragm_elevation": 1}),
    ("Free air under the diaphragm.", {"pneumoperitoneum": 1}),
    ("Mild degenerative changes of the thoracic spine.", {"degenerative_spine": 1}),
    ("Thoracic spondylosis.", {"degenerative_spine": 1}),
    ("Anterior wedge deformity of T8.", {"vertebral_compression": 1}),
    ("Thoracic kyphosis.", {"kyphosis": 1}),
    ("Diffuse osteopenia.", {"osteopenia": 1}),
    ("Midline sternotomy wires.", {"sternotomy": 1}),
    ("Pericardial effusion.", {"pericardial_effusion": 1, "pleural_effusion": None}),
    ("Subcutaneous emphysema.", {"subcutaneous_emphysema": 1, "emphysema": None}),
    ("Catheter fracture at the first rib.", {"fracture": None, "support_devices": 1}),
    ("The lateral screw is fractured.", {"fracture": None}),
    ("Hiatal hernia repair.", {"hernia": None}),
    ("Bony metastases.", {"lung_lesion": None}),
    ("Heart size XXXX mildly enlarged.", {"cardiomegaly": 1}),
]
CASES = [*SCOPES, *NOT_NEGATED, *DOUBT, *LIKELIHOOD, *ANOTHER_TIME, *CLASSES]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_case(text, expected):
    labels = LABELER.label(text)
    assert {name: labels.values[name] for name in expected} == expected, labels.evidence


def test_there_are_enough_cases_and_they_reach_every_finding():
    assert len(CASES) > 80
    named = {name for _, expected in CASES for name, value in expected.items() if value is not None}
    easy = {"calcification", "cyst", "no_finding", "scoliosis"}
    assert set(FINDING_NAMES) - named - easy == {"mass", "pleural_thickening"}  # in test_label.py


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("Right hilar calcifications.", "calcification"),
        ("Apical bullae.", "cyst"),
        ("Dextroscoliosis.", "scoliosis"),
    ],
)
def test_remaining_findings(text, finding):
    assert LABELER.label(text).values[finding] == 1


@pytest.mark.parametrize("text", [text for text, _ in CASES])
def test_looking_at_word_beginnings_first_misses_no_mention(text):
    sentence = text.lower()
    found = {(item.name, item.start) for item in find_mentions(VOCABULARY, sentence)}
    for name, pattern, absent in VOCABULARY.patterns:
        for match in pattern.finditer(sentence):
            for own in absent or (name,):
                assert match.lastgroup == "unlike" or (own, match.start()) in found


@pytest.mark.parametrize("text", [text for text, _ in CASES])
def test_looking_at_word_beginnings_first_misses_no_cue(text):
    sentence, end, expected = text.lower(), 0, []
    for start in range(len(sentence)):
        inside = start and re.match(r"\w\w", sentence[start - 1 : start + 1])
        match = None if inside or start < end else cues_module._CUE.match(sentence, start)
        if match:
            end = match.end()
            expected.append(match.group())
    assert [cue.words for cue in find_cues(sentence)] == expected


@pytest.mark.parametrize("piece", ["no effusion or ", "effusion versus ", "effusion, small, ", "a"])
def test_a_text_without_full_stops_is_labelled_in_linear_time(piece):
    text = piece * (60_000 // len(piece))
    labels = LABELER.label(text)
    for items in labels.evidence.values():
        for item in items:
            assert text[item.start : item.end] == "effusion"
