from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from synth.data.phantom import FINDINGS, Finding, draw_patient, render, write_cohort, write_report
from synth.data.phantom.cohort import PLANTED_NAMES
from synth.dicom import read_grey
from synth.errors import SynthError
from synth.text import read_report

SIDES = {"left": np.s_[:, 64:], "right": np.s_[:, :64]}


def finding(name: str, side: str | None = None, severity: int = 2, zone: str = "mid") -> Finding:
    return Finding(name, side, severity, zone, True, True, (0.5,) * 8)  # type: ignore[arg-type]


def shown(*findings: Finding) -> np.ndarray:
    study = draw_patient(3, 1).studies[0]
    return render(replace(study, findings=findings, shift=(0.0, 0.0)), 128)


def test_same_integers_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_cohort(tmp_path / name, patients=3, seed=7, size=64)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.dcm"))
    assert files
    for file in [*files, Path("reports.csv")]:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_prevalence_is_long_tailed_and_patients_return() -> None:
    patients = [draw_patient(0, index) for index in range(800)]
    studies = [study for patient in patients for study in patient.studies]
    counts = Counter(f.name for study in studies for f in study.findings)
    assert len(FINDINGS) >= 8
    assert set(counts) == set(FINDINGS)
    assert min(counts, key=counts.__getitem__) == "hernia"
    assert max(counts, key=counts.__getitem__) == "cardiomegaly"
    assert counts["cardiomegaly"] > 4 * counts["hernia"]
    assert sum(len(patient.studies) > 1 for patient in patients) > 300


@pytest.mark.parametrize(
    "name", ["pleural_effusion", "pneumothorax", "consolidation", "nodule", "pacemaker"]
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_sided_finding_changes_its_own_side(name: str, side: str) -> None:
    change = np.abs(shown(finding(name, side)) - shown())
    other = "right" if side == "left" else "left"
    assert change[SIDES[side]].mean() > 4 * change[SIDES[other]].mean()


@pytest.mark.parametrize("name", [n for n in FINDINGS if n != "pacemaker"])
def test_severity_shows(name: str) -> None:
    side = "left" if name not in ("cardiomegaly", "edema", "emphysema", "hernia") else None
    change = [np.abs(shown(finding(name, side, s)) - shown()).mean() for s in (0, 1, 2)]
    assert 0 < change[0] < change[1] < change[2]


def test_an_uncertain_finding_need_not_show() -> None:
    hidden = replace(finding("pleural_effusion", "left"), seen=False)
    np.testing.assert_array_equal(shown(hidden), shown())


def test_a_withheld_finding_is_neither_drawn_nor_named() -> None:
    without = frozenset({"hernia"})
    for index in range(150):
        for study in draw_patient(5, index, without=without).studies:
            assert "hernia" not in {f.name for f in study.findings}
            assert "herni" not in write_report(study, without=without).lower()


def test_labeller_recovers_the_truth_behind_the_reports() -> None:
    wrong = total = 0
    for index in range(250):
        for study in draw_patient(11, index).studies:
            labels = read_report(write_report(study)).labels
            truth = {f.name: 1 if f.certain else -1 for f in study.findings}
            for name in FINDINGS:
                total += 1
                expected = {truth[name]} if name in truth else {0, None}
                # a hedge in the impression does not undo the plain statement in the findings
                expected |= {1} if expected == {-1} else set()
                wrong += labels[name] not in expected
    assert total > 4000
    assert wrong / total < 0.005


def test_planted_identifiers_are_in_the_source_and_never_in_the_text() -> None:
    study = draw_patient(0, 4).studies[0]
    report = write_report(study)
    read = read_report(report)
    for planted in ("03/14/2019", "555-0142", "Dr. "):
        assert planted in report
        assert planted not in read.text
        assert planted not in read.text_used


def test_dicom_files_read_back_to_the_rendered_grey(tmp_path: Path) -> None:
    write_cohort(tmp_path / "c", patients=12, seed=1, size=96)
    kinds = set()
    for path in sorted((tmp_path / "c" / "dicom").rglob("*.dcm")):
        header = pydicom.dcmread(path)
        assert str(header.PatientName) in PLANTED_NAMES
        kinds |= {(header.PhotometricInterpretation, header.BitsStored)}
        index, number = int(path.parts[-3][2:]), int(path.parts[-2][1:]) - 1
        expected = render(draw_patient(1, index).studies[number], 96)
        np.testing.assert_allclose(read_grey(path).grey, expected, atol=0.004)
    assert {kind[0] for kind in kinds} == {"MONOCHROME1", "MONOCHROME2"}
    assert len({kind[1] for kind in kinds}) >= 4


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SynthError, match="not a phantom cohort"):
        write_cohort(tmp_path, patients=1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
