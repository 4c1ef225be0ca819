import time

import pytest

from synth.text import conditioning_text, read_report
from synth.text.prompts import clean

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


def test_comparisons_can_stay():
    report = read_report("IMPRESSION: Nodule, unchanged.", drop_comparisons=False)
    assert report.text_used == "Nodule, unchanged."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1. Nodule of 1.5 cm. 2. Edema.", "Nodule of 1.5 cm. Edema."),
        ("1) Nodule\n2) Edema", "Nodule Edema"),
        ("1. Nodule 2. Edema 3. Hernia", "Nodule. Edema. Hernia"),
        ("Nodule at rib 6. The heart is normal.", "Nodule at rib 6. The heart is normal."),
        ("Fractures of ribs 3. 4 mm nodule.", "Fractures of ribs 3. 4 mm nodule."),
        ("- Nodule\n- Edema", "Nodule Edema"),
        ("Nodule.\n-----\nEdema.", "Nodule. Edema."),
        ("There are no of a pleural effusion.", "There are no pleural effusion."),
        (". Edema.. small nodule.", "Edema. Small nodule."),
    ],
)
def test_list_numbers_go_but_measurements_stay(text, expected):
    assert clean(text) == expected


def test_an_impression_that_points_elsewhere_is_passed_over():
    assert conditioning_text("FINDINGS: Edema.\nIMPRESSION: As above.") == "Edema."
    assert conditioning_text("FINDINGS: Edema.\nIMPRESSION: See findings.") == "Edema."
    assert conditioning_text("FINDINGS: Edema.\nIMPRESSION: No change.") == "Edema."


def test_the_policy_is_the_callers():
    report = "FINDINGS: Edema.\nIMPRESSION: Nodule.\n\nHernia."
    assert conditioning_text(report, ("last_paragraph", "findings")) == "Hernia."
    assert conditioning_text("INDICATION: Cough.", ("impression",)) == ""
    assert conditioning_text("INDICATION: Cough.", ("impression", "full")) == "INDICATION: Cough."


def test_of_several_studies_those_of_the_chest_are_used():
    report = "EXAM: Chest PA\nIMPRESSION: Nodule.\nEXAM: Knee\nIMPRESSION: Gonarthrosis."
    assert conditioning_text(report) == "Nodule."
    assert conditioning_text(report.replace("Chest", "Hip")) == "Nodule. Gonarthrosis."


@pytest.mark.parametrize("header", ["Impresión:", "Beurteilung:", "IMPRESSÃO\n", "Conclusioni :"])
def test_impressions_in_other_languages_are_found(header):
    assert conditioning_text(f"Text.\n{header} Nodulo.") == "Nodulo."


@pytest.mark.parametrize("piece", ["1. ", "a 1. ", "-\n", "- a\n", ".", "no of ", "12) A"])
def test_hostile_text_is_cleaned_in_linear_time(piece):
    start = time.process_time()
    clean(piece * (200_000 // len(piece)))
    assert time.process_time() - start < 3
