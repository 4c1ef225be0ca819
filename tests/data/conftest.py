from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from synth.manifest import read_jsonl
from synth.seeding import numpy_rng

SECRETS = (  # planted in headers, reports and paths
    "Zyx^Quorra",
    "Quorra",
    "HOSP-77001",
    "ACC-55",
    "20190314",
    "03/14/2019",
    "Saint Elsewhere",
    "Fenwick",
    "1.2.826.0.1.3680043.99",
    "19610203",
    "555-0142",
)


SMALL = {"size": 16, "splits": (0.5, 0.25, 0.25)}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a dataset."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def refused(out: Path, *kinds: str) -> dict[str, str]:
    """Path -> code of the rows of ``quarantine.jsonl`` of these kinds; images and copies."""
    wanted = kinds or ("image", "duplicate")
    rows = read_jsonl(out / "quarantine.jsonl")
    return {row["path"]: row["code"] for row in rows if row["kind"] in wanted}


def picture(*parts: int | str, side: int = 40) -> np.ndarray:
    """uint16 [side, side]: a gradient with noise, 12 bits."""
    noise = numpy_rng("picture", *parts).random((side, side))
    return ((noise * 0.5 + np.linspace(0, 0.5, side)) * 4095).astype(np.uint16)


def write_dicom(path: Path, array: np.ndarray, patient: int, study: int, **tags: Any) -> None:
    """A DX file full of identifiers."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.99.{patient}.{study}.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = f"1.2.826.0.1.3680043.99.{patient}.{study}"
    dataset.PatientName, dataset.PatientID = "Zyx^Quorra", f"HOSP-77001{patient}"
    dataset.PatientBirthDate, dataset.PatientAge, dataset.PatientSex = "19610203", "058Y", "F"
    dataset.AccessionNumber = f"ACC-55{patient}{study}"
    dataset.StudyDate, dataset.InstitutionName = "20190314", "Saint Elsewhere"
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", "PA"
    dataset.Rows, dataset.Columns = array.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = array.tobytes()
    for tag, value in tags.items():
        setattr(dataset, tag, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


REPORT = (
    "MRN: HOSP-77001{patient}\nINDICATION: Quorra Zyx, cough. Referred by Dr. Ann Fenwick.\n"
    "FINDINGS: {finding} No pneumothorax.\nIMPRESSION: {finding}\n"
    "Dictated on 03/14/2019 at Saint Elsewhere, phone 555-0142, ACC-55{patient}{study}."
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Eight patients with two DICOM studies each, reports in a table; every file named 1.dcm."""
    folder = tmp_path / "source"
    lines = ["Accession_Number,Report"]
    for patient in range(8):
        for study in range(2):
            path = folder / f"HOSP-77001{patient}/{study}/1.dcm"
            write_dicom(path, picture(patient, study), patient, study)
            finding = "Small hiatal hernia." if patient < 3 else "Mild cardiomegaly."
            text = REPORT.format(patient=patient, study=study, finding=finding)
            lines.append(f'ACC-55{patient}{study},"{text}"')
    (folder / "reports.csv").write_text("\n".join(lines))
    (folder / "terms.txt").write_text("Phantom data.\nFree to use.\n")
    return folder


@pytest.fixture
def raster_source(tmp_path: Path) -> Path:
    """Three PNG files with a .txt beside each."""
    folder = tmp_path / "rasters"
    folder.mkdir()
    for index in range(3):
        Image.fromarray((picture("png", index) >> 4).astype(np.uint8)).save(
            folder / f"i{index}.png"
        )
        (folder / f"i{index}.txt").write_text("IMPRESSION: Small nodule.")
    return folder
