import sys
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread

from synth.dicom.text_report import text_report
from synth.dicom.write import SyntheticFacts, synthetic_image, to_bytes
from synth.errors import Unavailable

FACTS = SyntheticFacts("syn-1", "d" * 64, "a nodule", "made", "0.1.0", "weights", view="PA")
IMAGE = synthetic_image(np.zeros((4, 4), np.uint8), FACTS)


def report(text="größe: a nodule\nat the base"):
    pytest.importorskip("highdicom")
    return dcmread(BytesIO(to_bytes(text_report(IMAGE, text))))


def test_the_document_holds_the_text_and_its_image():
    found = report()
    assert found.SOPClassUID.name == "Basic Text SR Storage"
    text, image = found.ContentSequence
    assert text.TextValue == "größe: a nodule\r\nat the base"
    (reference,) = image.ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == IMAGE.SOPInstanceUID
    (study,) = found.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == found.StudyInstanceUID == IMAGE.StudyInstanceUID
    assert study.ReferencedSeriesSequence[0].SeriesInstanceUID == IMAGE.SeriesInstanceUID


def test_highdicom_opens_it():
    """It reads the content tree back as its own types, which checks value types and relations."""
    sr = pytest.importorskip("highdicom.sr")
    found = sr.ContentSequence.from_sequence(report().ContentSequence)
    assert [item.value_type.value for item in found] == ["TEXT", "IMAGE"]


def test_it_is_marked_as_the_image_is():
    found = report()
    assert found[0x0008, 0x001C].value == "YES"
    assert found.PatientID == IMAGE.PatientID
    assert found.ContributingEquipmentSequence == IMAGE.ContributingEquipmentSequence
    assert found.VerificationFlag == "UNVERIFIED"


def test_the_same_text_gives_the_same_file():
    assert report() == report()
    assert report("other").SOPInstanceUID != report().SOPInstanceUID
    assert report().SeriesInstanceUID != IMAGE.SeriesInstanceUID


def test_an_empty_text_is_still_a_document():
    assert report("").ContentSequence[0].TextValue == "(no text)"


def test_without_highdicom_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom.sr", None)
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(Unavailable, match=r"medical-image-synthesis\[export\]"):
        text_report(IMAGE, "x")
