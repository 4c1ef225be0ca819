"""Synthetic DICOM: a file that cannot be mistaken for an acquisition, the same on every run.

Secondary Capture (PS3.3 A.8.1) by default; Digital X-Ray for presentation (A.26) for software that
takes nothing else. Either says ``SyntheticData`` YES (0008,001C), DERIVED, Conversion Type SYN
(Secondary Capture), and names this tool in Contributing Equipment as Synthesizing Equipment
(109100, DCM). Nothing is copied from a header of training data: UIDs are ``2.25`` plus a UUID5 of
what the file holds (PS3.5 B.2), the patient is ``SYNTHETIC^…``, the dates are one fixed day.

Digital X-Ray demands the direction of rows and columns (C.8.11.3), known for frontal views alone,
and the side of a paired body part: where these are not known it is refused. No physical size is
known: Pixel Spacing is left out, and Imager Pixel Spacing, which Digital X-Ray demands, is a
nominal 1 mm.
"""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from synth.errors import UsageError

SopClass = Literal["sc", "dx"]
DATE, TIME = "20000101", "000000"  # a fixed day: files do not depend on when they are written
MAKER = "medical-image-synthesis"
SHORT_TEXT, LONG_TEXT = 1023, 10239  # of ST and LT (PS3.5 6.2), less a space that pads to even
_NAMESPACE = uuid.UUID("6f1f2c3e-8c55-5d7a-9a1b-3d6c5a7e9f10")
_CLASSES: Mapping[str, UID] = MappingProxyType(
    {"sc": SecondaryCaptureImageStorage, "dx": DigitalXRayImageStorageForPresentation}
)
REGIONS: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {  # CID 4009; none has a left and a right
        "CHEST": ("816094009", "SCT", "Chest"),
        "ABDOMEN": ("818981001", "SCT", "Abdomen"),
        "PELVIS": ("816092008", "SCT", "Pelvis"),
        "HEAD": ("69536005", "SCT", "Head"),
        "SKULL": ("89546000", "SCT", "Skull"),
        "NECK": ("45048000", "SCT", "Neck"),
        "SPINE": ("421060004", "SCT", "Spine"),
        "CSPINE": ("122494005", "SCT", "Cervical spine"),
        "TSPINE": ("122495006", "SCT", "Thoracic spine"),
        "LSPINE": ("122496007", "SCT", "Lumbar spine"),
    }
)
_VIEWS = {  # CID 4010
    "PA": ("272479007", "SCT", "postero-anterior"),
    "AP": ("399348003", "SCT", "antero-posterior"),
    "LATERAL": ("399067008", "SCT", "lateral"),
}
ORIENTATIONS: Mapping[str, list[str]] = MappingProxyType({"PA": ["L", "F"], "AP": ["L", "F"]})


@dataclass(frozen=True)
class SyntheticFacts:
    """What a synthetic file says beside its pixels.

    Attributes:
        name: of the image; patient and study are named after it.
        digest: of what the file is made from; the UIDs are a function of it.
        text: what the image was made from; becomes Image Comments.
        derivation: how it was made; becomes Derivation Description.
        version: of this tool.
        model: which weights, in 64 characters.
        sex: ``M``, ``F`` or nothing.
        view: ``PA``, ``AP``, ``LATERAL`` or nothing.
        body_part: Body Part Examined.
    """

    name: str
    digest: str
    text: str
    derivation: str
    version: str
    model: str
    sex: str | None = None
    view: str | None = None
    body_part: str = "CHEST"


def make_uid(*parts: str) -> str:
    """``2.25.`` and a UUID5 of the parts as an integer: the same parts give the same UID."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(31).join(parts)).int}"


def patient_id(name: str) -> str:
    """``syn-000001`` -> ``SYN-000001``: 64 harmless characters at most, and no one else's."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name).upper().removeprefix("SYN-")
    if plain == name.upper().removeprefix("SYN-") and len(plain) <= 48:
        return f"SYN-{plain}"
    return f"SYN-{plain[:40]}-{uuid.uuid5(_NAMESPACE, name).hex[:8].upper()}"


def plain_text(text: str, limit: int) -> str:
    """Text for ST and LT: no control characters but line ends, cut at the limit."""
    lines = "\r\n".join(text.splitlines())
    kept = "".join(char for char in lines if char.isprintable() or char in "\r\n")
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def synthetic_image(
    image: NDArray[np.uint8] | NDArray[np.uint16],
    facts: SyntheticFacts,
    *,
    sop_class: SopClass = "sc",
) -> Dataset:
    """A synthetic image as a dataset.

    Args:
        image: [H, W]; uint8 gives 8 stored bits, uint16 gives 16. Larger is brighter.
        facts: what it says of itself.
        sop_class: ``sc`` or ``dx``.

    Raises:
        UsageError: ``dx`` of a view that is not frontal, or of a body part not in ``REGIONS``.
    """
    if sop_class == "dx":
        _check_x_ray(facts)
    dataset = _common(facts)
    dataset.SOPClassUID = _CLASSES[sop_class]
    kind = f"{sop_class}{image.dtype.itemsize * 8}"
    dataset.SeriesInstanceUID = make_uid("series", facts.digest, kind)
    dataset.SOPInstanceUID = make_uid("instance", facts.digest, kind)
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.ContentDate, dataset.ContentTime = DATE, TIME
    dataset.BodyPartExamined = facts.body_part
    dataset.PatientOrientation = ORIENTATIONS.get(facts.view or "", "")
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.DerivationDescription = plain_text(facts.derivation, SHORT_TEXT)
    dataset.ImageComments = plain_text(facts.text, LONG_TEXT)
    _add_pixels(dataset, image)
    if sop_class == "sc":
        dataset.Modality, dataset.ImageType = "OT", ["DERIVED", "SECONDARY"]
        dataset.ConversionType = "SYN"
        if facts.body_part not in REGIONS:
            dataset.Laterality = ""  # which of the two is unknown
    else:
        _add_x_ray(dataset, facts)
    return dataset


def _check_x_ray(facts: SyntheticFacts) -> None:
    fix = "Use Secondary Capture: leave out --sop-class dx."
    if facts.view not in ORIENTATIONS:
        raise UsageError(
            "Digital X-Ray demands the patient's orientation, known for frontal views alone",
            where=facts.name,
            got=f"view {facts.view or 'unknown'}",
            expected="AP or PA",
            fix=fix,
        )
    if facts.body_part not in REGIONS:
        raise UsageError(
            "Digital X-Ray demands a coded body part, and its side, which is not known",
            where=facts.name,
            got=facts.body_part,
            expected=", ".join(REGIONS),
            fix=fix,
        )


def to_bytes(dataset: Dataset) -> bytes:
    """The dataset as a Part 10 file: explicit little endian, preamble of zeros."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(make_uid("implementation", MAKER))
    meta.ImplementationVersionName = "SYNTH"
    dataset.file_meta = meta
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _common(facts: SyntheticFacts) -> Dataset:
    """Patient, study and equipment, which an image and its report share."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SyntheticData = "YES"
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = DATE, TIME
    dataset.PatientID = patient_id(facts.name)
    dataset.PatientName = f"SYNTHETIC^{dataset.PatientID}"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = facts.sex if facts.sex in ("M", "F") else ""
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "synthetic image, shows no patient"
    dataset.StudyInstanceUID = make_uid("study", facts.digest)
    dataset.StudyDate, dataset.StudyTime = DATE, TIME
    dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = "1", "", ""
    dataset.StudyDescription = "SYNTHETIC"
    dataset.SeriesDate, dataset.SeriesTime = DATE, TIME
    dataset.SeriesDescription = "SYNTHETIC, not for diagnosis"
    dataset.Manufacturer, dataset.ManufacturerModelName = MAKER, facts.model[:64]
    dataset.SoftwareVersions = facts.version[:64]
    dataset.ContributingEquipmentSequence = Sequence([_equipment(facts)])
    return dataset


def _equipment(facts: SyntheticFacts) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = Sequence(
        [_code("109100", "DCM", "Synthesizing Equipment")]
    )
    item.Manufacturer, item.ManufacturerModelName = MAKER, facts.model[:64]
    item.SoftwareVersions = facts.version[:64]
    item.ContributionDateTime = DATE + TIME
    item.ContributionDescription = plain_text(facts.derivation, SHORT_TEXT)
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _add_pixels(dataset: Dataset, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    bits = image.dtype.itemsize * 8
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = image.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = 1 << (bits - 1), 1 << bits  # the full range
    content = np.ascontiguousarray(image.astype(image.dtype.newbyteorder("<"))).tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"


def _add_x_ray(dataset: Dataset, facts: SyntheticFacts) -> None:
    """What the modules of Digital X-Ray demand (PS3.3 C.8.11.1 to C.8.11.5)."""
    dataset.Modality, dataset.ImageType = "DX", ["DERIVED", "PRIMARY", ""]
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageLaterality = "U"
    dataset.AnatomicRegionSequence = Sequence([_code(*REGIONS[facts.body_part])])
    dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", -1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.DetectorType = ""
    dataset.ImagerPixelSpacing = [1, 1]
    dataset.PositionerType = ""
    if facts.view in ("PA", "AP"):  # its terms for laterals say which side, which is not known
        dataset.ViewPosition = facts.view
    if facts.view in _VIEWS:
        view = _code(*_VIEWS[facts.view])
        view.ViewModifierCodeSequence = Sequence()
        dataset.ViewCodeSequence = Sequence([view])
    dataset.AcquisitionContextSequence = Sequence()
