"""Speed and memory of decoding, beside a plain pydicom + Pillow loop that makes the same PNGs.

    python benchmarks/prepare.py --files 40 --workers 2
    python benchmarks/prepare.py --flat-memory 10000

The files are generated: 12-bit radiographs of about 2000 x 2500 pixels, as they leave a detector
(uncompressed, RLE, JPEG-LS, JPEG 2000; with a window, MONOCHROME1, or neither window nor rescale).
Both sides take turns, so that whatever else the machine does hits both; processor time is shown
beside the clock, because it does not depend on that.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from synth.data.convert import ConvertOptions, convert_all
from synth.data.inputs import Input
from synth.data.pool import DecodeBudget
from synth.dicom import DecodeLimits
from synth.seeding import numpy_rng

SIZE = 512
LEVEL = 4  # zlib level of both sides
OPTIONS = ConvertOptions(SIZE, "auto", DecodeLimits())
BAR = 1.6
SYNTAXES = (  # of ten files; most archives hold uncompressed and JPEG 2000 ones
    *[ExplicitVRLittleEndian] * 7,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
)


# ------------------------------------------------------------------------------ files


def radiograph(seed: int, height: int, width: int) -> NDArray[np.uint16]:
    """12-bit [height, width]: broad structures, fine ones, quantum noise and dark corners."""
    rng = numpy_rng("benchmark", seed)
    image = np.zeros((height, width), dtype=np.float32)
    for cells, weight in ((6, 1.0), (24, 0.35), (180, 0.08)):
        coarse = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
        image += weight * np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    image += rng.standard_normal(image.shape, dtype=np.float32) * 0.01
    rows, columns = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    image *= np.clip(1.6 - np.hypot(rows, columns), 0, 1)
    low, high = float(image.min()), float(image.max())
    return ((image - low) / (high - low) * 4095).astype(np.uint16)


def write_dicom(path: Path, image: NDArray[np.uint16], number: int) -> None:
    """One DX file; the number decides the header and the transfer syntax."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = f"2.25.{number + 1}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = f"2.25.9{number}"
    dataset.PatientID, dataset.PatientName = f"P{number}", "Phantom^Benchmark"
    dataset.AccessionNumber = f"A{number}"
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "DX", "CHEST", "PA"
    dataset.Rows, dataset.Columns = image.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelSpacing = [0.14, 0.14]
    if number % 3 != 2:
        dataset.WindowCenter, dataset.WindowWidth = 2048 + 8 * (number % 40), 3200
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    if number % 3 == 1:
        dataset.PhotometricInterpretation = "MONOCHROME1"
        dataset.PresentationLUTShape = "INVERSE"
    dataset.PixelData = image.tobytes()
    syntax = SYNTAXES[number % len(SYNTAXES)]
    if syntax != ExplicitVRLittleEndian:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)


def make_files(folder: Path, count: int, side: int) -> list[Input]:
    """``count`` portrait files of about ``side`` columns, and a table of reports beside them."""
    folder.mkdir(parents=True)
    rng = numpy_rng("benchmark", "sizes")
    for number in range(count):
        width = side + int(rng.integers(-side // 10, side // 10))
        height = side * 5 // 4 + int(rng.integers(-side // 10, side // 10))
        write_dicom(folder / f"{number:05d}.dcm", radiograph(number, height, width), number)
    rows = [f"A{number},IMPRESSION: Mild cardiomegaly." for number in range(count)]
    (folder / "reports.csv").write_text("\n".join(["accession,report", *rows]))
    (folder / "terms.txt").write_text("Phantom data.\n")
    return [Input(path, path.name, "dicom") for path in sorted(folder.glob("*.dcm"))]


# ------------------------------------------------------------------------------ the two sides


def plain_loop(items: list[Input], out: Path) -> None:
    """What one writes down first: pydicom and Pillow, one file after the other."""
    out.mkdir()
    for item in items:
        dataset = dcmread(item.path)
        values = apply_modality_lut(dataset.pixel_array, dataset)
        if "WindowCenter" in dataset:
            grey = apply_voi_lut(values, dataset) / (2**dataset.BitsStored - 1)
        else:
            low, high = np.percentile(values, (0.5, 99.5))
            grey = np.clip((values - low) / (high - low), 0, 1)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            grey = 1 - grey
        image = Image.fromarray(np.rint(grey * 255).astype(np.uint8))
        square = Image.new("L", (max(image.size),) * 2)
        square.paste(
            image, ((square.width - image.width) // 2, (square.height - image.height) // 2)
        )
        small = square.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        small.save(out / f"{item.name}.png", compress_level=LEVEL)


def ours(items: list[Input], out: Path, workers: int) -> None:
    """The same files through ``convert_all``."""
    out.mkdir()
    for converted in convert_all(items, OPTIONS, workers=workers):
        if converted.refusal is not None:
            raise converted.refusal
        (out / f"{converted.item.name}.png").write_bytes(converted.png)


def whole(source: Path, out: Path, workers: int) -> None:
    """All of ``synth prepare``: hashes, reports, labels, rows, splits and checksums too."""
    from synth.data.prepare import prepare

    prepare(source, out, size=SIZE, workers=workers, secret="benchmark")


def difference(first: Path, second: Path) -> tuple[int, float]:
    """Largest grey-level difference of all PNGs, and the share of pixels that differ."""
    largest, different, pixels = 0, 0, 0
    for path in sorted(first.glob("*.png")):
        ours_u8, theirs_u8 = (
            np.asarray(Image.open(p), np.int16) for p in (path, second / path.name)
        )
        gap = np.abs(ours_u8 - theirs_u8)
        largest = max(largest, int(gap.max()))
        different, pixels = different + int((gap > 0).sum()), pixels + gap.size
    return largest, different / pixels


# ------------------------------------------------------------------------------ measuring


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, and of processor time in this process and its ended children."""

    wall: float
    cpu: float

    @classmethod
    def of(cls, run: Callable[[Path], None], out: Path) -> Cost:
        """Run and measure."""
        wall, cpu = time.monotonic(), _cpu_seconds()
        run(out)
        return cls(time.monotonic() - wall, _cpu_seconds() - cpu)


def _cpu_seconds() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def say(text: str) -> None:
    """One line of the result, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def compare(
    folder: Path, files: int, side: int, workers: int, rounds: int, *, everything: bool
) -> bool:
    """Print both sides' costs; whether the bar is met and the pictures agree."""
    source = folder / "source"
    items = make_files(source, files, side)
    size = sum(item.path.stat().st_size for item in items) / files / 1e6
    say(
        f"{files} DX files of about {side} x {side * 5 // 4}, {size:.1f} MB each, {workers} workers"
    )
    sides: dict[str, Callable[[Path], None]] = {
        "plain loop": lambda out: plain_loop(items, out),
        "convert_all": lambda out: ours(items, out, workers),
    }
    if everything:
        sides["synth prepare"] = lambda out: whole(source, out, workers)
    best: dict[str, Cost] = {}
    for turn in range(rounds):
        for name, run in sides.items():
            cost = Cost.of(run, folder / f"{name}-{turn}")
            before = best.get(name, cost)
            best[name] = Cost(min(before.wall, cost.wall), min(before.cpu, cost.cpu))
    for name, cost in best.items():
        per_wall, per_cpu = 1000 * cost.wall / files, 1000 * cost.cpu / files
        times = best["plain loop"].wall / cost.wall
        say(
            f"{name:14} {files / cost.wall:6.1f} files/s  {per_wall:6.1f} ms a file by the clock, "
            f"{per_cpu:6.1f} ms of processor time  {times:.2f} times the plain loop"
        )
    largest, share = difference(folder / "plain loop-0", folder / "convert_all-0")
    say(f"largest difference {largest} grey level, in {share:.1%} of the pixels")
    return best["plain loop"].wall >= BAR * best["convert_all"].wall and largest <= 1


# ------------------------------------------------------------------------------ memory


def flat_memory(folder: Path, count: int, workers: int, files_per_worker: int) -> None:
    """Print resident memory on the way through ``count`` small files."""
    originals = make_files(folder / "source", 50, 200)
    items = islice(chain.from_iterable(repeat(originals)), count)
    named = [replace(item, name=f"{number}") for number, item in enumerate(items)]
    budget = DecodeBudget(files_per_worker=files_per_worker)
    small, marks = replace(OPTIONS, size=64), {100, 1000, count}
    peak_parent = peak_worker = 0.0
    started = time.monotonic()
    converted_all = convert_all(named, small, workers=workers, budget=budget)
    for number, converted in enumerate(converted_all, 1):
        assert converted.refusal is None, converted.refusal
        if number % 25 == 0 or number in marks:
            peak_parent = max(peak_parent, _resident("self", "VmRSS"))
            peak_worker = max([peak_worker, *(_resident(pid, "VmHWM") for pid in _children())])
        if number in marks:
            rate = number / (time.monotonic() - started)
            say(
                f"{number:6} files: parent {peak_parent:6.1f} MiB, largest worker "
                f"{peak_worker:6.1f} MiB, {rate:.0f} files/s"
            )


def _children() -> Iterator[str]:
    for path in Path("/proc/self/task").glob("*/children"):
        yield from path.read_text().split()


def _resident(pid: str, field: str) -> float:
    """A memory field of ``/proc``, MiB; 0 for a process that has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def main() -> None:
    """Read the arguments; exit code 1 if the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=40, help="files to generate")
    parser.add_argument("--side", type=int, default=2000, help="their columns")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side; the best counts")
    parser.add_argument("--everything", action="store_true", help="time `synth prepare` as well")
    parser.add_argument("--flat-memory", type=int, metavar="N", help="measure memory over N files")
    parser.add_argument("--files-per-worker", type=int, default=DecodeBudget.files_per_worker)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.flat_memory:
            flat_memory(Path(folder), chosen.flat_memory, chosen.workers, chosen.files_per_worker)
            return
        met = compare(
            Path(folder),
            chosen.files,
            chosen.side,
            chosen.workers,
            chosen.rounds,
            everything=chosen.everything,
        )
    if not met:
        raise SystemExit(f"the bar of {BAR} times the plain loop, within 1 grey level, is missed")


if __name__ == "__main__":
    main()
