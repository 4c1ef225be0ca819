"""Import the public tables of a folder: records, labels, seconds and peak memory a source.

    python benchmarks/importers.py FOLDER

FOLDER holds tables as published, for example the ``data`` folder of the torchxrayvision wheel;
archives in it (``.tgz``, ``.zip``) are unpacked into a temporary folder. Nothing is downloaded and
nothing is written. Each source is read in a process of its own, so that its peak is its own. Fails
if a source that is there has another number of records than published, or needs 1 GiB or more.
"""

from __future__ import annotations

import resource
import sys
import tarfile
import tempfile
import time
import zipfile
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from synth.data.importers.index import Imported
from synth.data.importers.recognise import Recognition, recognise
from synth.data.inputs import Inputs, scan

PUBLISHED = {  # records: one a report for OpenI, else one an image
    "openi": 3_955,
    "chexpert": 223_414,
    "nih-chestxray14": 112_120,
    "padchest": 160_861,
    "rsna-pneumonia": 26_684,
    "siim-pneumothorax": 12_047,
    "vindr-cxr": 15_000,
}
MOST_MIB = 1024


class Measured(NamedTuple):
    """One source, read whole."""

    records: int
    texts: int
    labels: int
    problems: int
    seconds: float
    peak_mib: float


def main(folder: Path) -> int:
    """Print the table; 0 if every count and peak is as it should be."""
    with tempfile.TemporaryDirectory() as unpacked:
        inputs = _unpack(scan(folder), Path(unpacked))
        wrong = 0
        columns = f"{'records':>9}{'texts':>9}{'labels':>11}{'problems':>9}{'seconds':>9}{'MiB':>7}"
        print(f"{'source':<24}{columns}")
        for name in [one.importer.source.name for one in recognise(inputs).found]:
            with get_context("spawn").Pool(1) as pool:
                got = pool.apply(measure, (inputs, name))
            expected = PUBLISHED.get(name, got.records)
            bad = got.records != expected or got.peak_mib >= MOST_MIB
            wrong += bad
            print(
                f"{name:<24}{got.records:>9,}{got.texts:>9,}{got.labels:>11,}{got.problems:>9}"
                f"{got.seconds:>9.1f}{got.peak_mib:>7.0f}"
                f"{f'  WRONG: expected {expected:,}' if bad else ''}"
            )
    return 1 if wrong else 0


def measure(inputs: Inputs, name: str) -> Measured:
    """Read one source as ``synth prepare`` does."""
    start = time.perf_counter()
    everything = recognise(inputs)
    found = tuple(one for one in everything.found if one.importer.source.name == name)
    alone = replace(inputs, files=tuple(item for item in inputs.files if item.kind != "text"))
    imported = Imported(Recognition(found, (), ()), alone)
    return Measured(
        records=len(imported.all),
        texts=sum(1 for record in imported.all if record.text),
        labels=sum(len(record.labels) for record in imported.all),
        problems=len(imported.problems),
        seconds=time.perf_counter() - start,
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def _unpack(inputs: Inputs, into: Path) -> Inputs:
    for item in inputs.files:
        name = item.name.lower()
        if name.endswith((".tgz", ".tar.gz")):
            with tarfile.open(item.path) as archive:
                archive.extractall(into / item.path.stem, filter="data")
        elif name.endswith(".zip"):
            with zipfile.ZipFile(item.path) as archive:
                archive.extractall(into / item.path.stem)
    more = scan(into).files if any(into.iterdir()) else ()
    return replace(inputs, files=(*inputs.files, *more))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    sys.exit(main(Path(sys.argv[1])))
