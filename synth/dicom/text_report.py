"""The text of a synthetic image as a Basic Text SR document (PS3.3 A.35.1), by highdicom."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import BasicTextSRStorage

from synth.dicom.write import DATE, LONG_TEXT, TIME, make_uid, plain_text
from synth.errors import Unavailable

_SHARED = (  # patient, study and equipment of the image that the report is about
    *("SpecificCharacterSet", "SyntheticData", "InstanceCreationDate", "InstanceCreationTime"),
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "PatientIdentityRemoved"),
    *("DeidentificationMethod", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName", "StudyDescription"),
    *("SeriesDate", "SeriesTime", "SeriesDescription"),
    *("Manufacturer", "ManufacturerModelName", "SoftwareVersions"),
    "ContributingEquipmentSequence",
)


def text_report(image: Dataset, text: str) -> Dataset:
    """A document that holds the text and refers to its image.

    Args:
        image: as :func:`synth.dicom.write.synthetic_image` gives it.
        text: the report; a TEXT item has no limit of its own, as much is kept as in the image.

    Raises:
        Unavailable: highdicom is not installed.
    """
    try:
        import highdicom.sr as sr
    except ImportError:
        raise Unavailable(
            "a Basic Text SR needs highdicom", fix="pip install 'medical-image-synthesis[export]'"
        ) from None
    document = Dataset()
    for keyword in _SHARED:
        setattr(document, keyword, image[keyword].value)
    document.SOPClassUID, document.Modality = BasicTextSRStorage, "SR"
    document.SeriesInstanceUID = make_uid("report series", image.SOPInstanceUID)
    document.SOPInstanceUID = make_uid("report", image.SOPInstanceUID, text)
    document.SeriesNumber, document.InstanceNumber = 2, 1
    document.ContentDate, document.ContentTime = DATE, TIME
    document.CompletionFlag, document.VerificationFlag = "COMPLETE", "UNVERIFIED"
    document.PreliminaryFlag = "FINAL"
    document.ReferencedPerformedProcedureStepSequence = Sequence()
    document.PerformedProcedureCodeSequence = Sequence()
    document.CurrentRequestedProcedureEvidenceSequence = Sequence([_evidence(image)])
    for element in _content(sr, image, plain_text(text, LONG_TEXT) or "(no text)"):
        document.add(element)
    return document


def _content(sr: Any, image: Dataset, text: str) -> Dataset:
    """The root container: the text as a finding, and the image it was made with."""
    root = sr.ContainerContentItem(
        name=sr.CodedConcept("18748-4", "LN", "Diagnostic imaging study")
    )
    contains = sr.RelationshipTypeValues.CONTAINS
    root.ContentSequence = sr.ContentSequence(
        [
            sr.TextContentItem(
                name=sr.CodedConcept("121071", "DCM", "Finding"),
                value=text,
                relationship_type=contains,
            ),
            sr.ImageContentItem(
                name=sr.CodedConcept("121080", "DCM", "Best illustration of finding"),
                referenced_sop_class_uid=image.SOPClassUID,
                referenced_sop_instance_uid=image.SOPInstanceUID,
                relationship_type=contains,
            ),
        ]
    )
    return root


def _evidence(image: Dataset) -> Dataset:
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = image.SOPClassUID
    instance.ReferencedSOPInstanceUID = image.SOPInstanceUID
    series.ReferencedSOPSequence = Sequence([instance])
    series.SeriesInstanceUID = image.SeriesInstanceUID
    study.ReferencedSeriesSequence = Sequence([series])
    study.StudyInstanceUID = image.StudyInstanceUID
    return study
