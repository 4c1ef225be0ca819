"""Write the phantom cohort as a hospital would hand it over: DICOM files and a table of reports.

Header quirks of real archives are modelled: both polarities, VOI windows and LUTs, 10 to 16 stored
bits, signed pixels with a rescale, missing tags, and identifiers that must never come through.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from synth.data.phantom.population import Study, draw_patient
from synth.data.phantom.render import render
from synth.data.phantom.reports import write_report
from synth.errors import SynthError
from synth.manifest import write_bytes
from synth.progress import Progress, Silent
from synth.seeding import numpy_rng, seed_from

PLANTED_NAMES = ("Phantom^Percival", "Phantom^Philippa", "Phantom^Phoebe", "Phantom^Phineas")
_TERMS = (
    "Phantom data: computed from a parametric model, not from people. No clinical realism is "
    "claimed. Free to use, copy and change."
)


@dataclass(frozen=True)
class CohortSummary:
    """What was written."""

    folder: Path
    patients: int
    studies: int


def write_cohort(
    out: Path,
    *,
    patients: int = 600,
    seed: int = 0,
    size: int = 256,
    workers: int = 1,
    progress: Progress | None = None,
) -> CohortSummary:
    """Write ``OUT/dicom/<patient>/<study>/1.dcm``, ``reports.csv``, ``terms.txt``, ``README.txt``.

    Args:
        out: a new or an unfinished cohort folder; files of the same cohort are written again.
        patients: how many.
        seed: the cohort's identity; the same numbers give the same bytes.
        size: image side in pixels.
        workers: processes that render.
        progress: where to report.

    Raises:
        SynthError: ``out`` holds something that is not a phantom cohort.
    """
    progress = progress or Silent()
    _refuse_foreign(out)
    write_bytes(out / "README.txt", _readme(patients, seed).encode())
    write_bytes(out / "terms.txt", (_TERMS + "\n").encode())
    rows: list[tuple[str, str]] = []
    task = partial(_write_patient, out, seed, size)
    for done, reports in enumerate(_mapped(task, patients, workers), 1):
        rows.extend(reports)
        progress.update(done, patients, "patients")
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["accession_number", "report"])
    writer.writerows(rows)
    write_bytes(out / "reports.csv", table.getvalue().encode())  # last: its presence means complete
    return CohortSummary(out, patients, len(rows))


def _refuse_foreign(out: Path) -> None:
    readme = out / "README.txt"
    ours = readme.is_file() and readme.read_text(errors="replace").startswith("PHANTOM COHORT")
    if out.exists() and any(out.iterdir()) and not ours:
        raise SynthError(
            "folder is not empty and is not a phantom cohort",
            where=out,
            fix="Choose a new folder; nothing was changed.",
        )


def _mapped(
    task: partial[list[tuple[str, str]]], count: int, workers: int
) -> Iterator[list[tuple[str, str]]]:
    if workers <= 1:
        yield from map(task, range(count))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(task, range(count), chunksize=16)


def _write_patient(out: Path, seed: int, size: int, index: int) -> list[tuple[str, str]]:
    patient = draw_patient(seed, index)
    reports = []
    for study in patient.studies:
        dataset = to_dicom(study, render(study, size))
        name = f"PH{index:05d}/S{study.number + 1}/1.dcm"
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        path = out / "dicom" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
        reports.append((str(dataset.AccessionNumber), write_report(study)))
    return reports


def to_dicom(study: Study, grey: NDArray[np.float32]) -> FileDataset:
    """Encode float32 [H, W] in [0, 1] as a DX instance with one of several archives' habits."""
    rng = numpy_rng("phantom", "header", study.patient.seed, study.patient.index, study.number)
    dataset = _header(study, rng)
    bits = int(rng.choice([10, 12, 12, 14, 15, 16]))
    top = 2**bits - 1
    low, high = 0.05 * rng.random(), 1 - 0.05 * rng.random()  # unused range at both ends
    stored = (low + (high - low) * grey) * top
    inverted = rng.random() < 0.45
    if inverted:
        stored = top - stored
        low, high = 1 - high, 1 - low
    dataset.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    dataset.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    signed = bits <= 15 and rng.random() < 0.2
    offset = 2 ** (bits - 1) if signed else 0
    values = np.rint(stored).astype(np.int64) - offset
    dataset.SamplesPerPixel, (dataset.Rows, dataset.Columns) = 1, grey.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    if signed or rng.random() < 0.5:
        dataset.RescaleIntercept, dataset.RescaleSlope = offset, 1
        dataset.RescaleType = "US"
    dataset.WindowCenter = round(float((low + high) / 2 * top), 3)
    dataset.WindowWidth = round(float((high - low) * top), 3)
    if rng.random() < 0.3:
        dataset.VOILUTFunction = "LINEAR_EXACT"
    if rng.random() < 0.15:  # a second, unused window
        dataset.WindowCenter = [dataset.WindowCenter, top // 2]
        dataset.WindowWidth = [dataset.WindowWidth, top]
    dataset.PixelData = values.astype("<i2" if signed else "<u2").tobytes()
    return dataset


def _header(study: Study, rng: np.random.Generator) -> FileDataset:
    patient = study.patient
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = _uid(study, "instance")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = _uid(study, "study")
    dataset.SeriesInstanceUID = _uid(study, "series")
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.DerivationDescription = "PHANTOM: computed from a parametric model"
    dataset.Modality = "DX"
    dataset.BodyPartExamined = "CHEST"
    dataset.PatientOrientation = ["L", "F"]
    if rng.random() < 0.85:
        dataset.ViewPosition = study.view
    dataset.PatientName = PLANTED_NAMES[patient.index % len(PLANTED_NAMES)]
    dataset.PatientID = f"PHANTOM-{patient.seed}-{patient.index:05d}"
    dataset.PatientBirthDate = f"{2019 - patient.age}0101"
    dataset.PatientSex = patient.sex
    if rng.random() < 0.9:
        dataset.PatientAge = f"{patient.age:03d}Y"
    dataset.AccessionNumber = f"PA{_number(study, 10**10):010d}"
    dataset.StudyDate, dataset.StudyTime = "20190314", "101500"
    dataset.InstitutionName = "Phantom General Hospital"
    dataset.ReferringPhysicianName = "Phantom^Doctor"
    dataset.Manufacturer = ("Alpha", "Beta", "Gamma")[int(rng.integers(3))]
    dataset.InstanceNumber = 1
    if rng.random() < 0.5:
        dataset.ImagerPixelSpacing = [1.4, 1.4]
    return dataset


def _uid(study: Study, kind: str) -> str:
    """A 2.25 UID (PS3.5 B.2) that follows from the study alone."""
    low = _number(study, 2**62, kind)
    return f"2.25.{low}"


def _number(study: Study, below: int, kind: str = "accession") -> int:
    return seed_from("phantom", kind, study.patient.seed, study.patient.index, study.number) % below


def _readme(patients: int, seed: int) -> str:
    return (
        "PHANTOM COHORT\n\n"
        "Computed from a parametric model of the chest; these are not people and nothing here\n"
        "claims clinical realism. Names, numbers and dates are invented and planted on purpose:\n"
        "preparation must never let them through.\n\n"
        f"patients: {patients}\nseed: {seed}\n"
    )
