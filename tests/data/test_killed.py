"""SIGKILL at any moment, then the same command: the bytes of an undisturbed run."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from synth.seeding import numpy_rng

from .conftest import contents, picture, write_dicom

FILES = 90
PROGRAM = """
import sys
from pathlib import Path
from synth.data.prepare import prepare
if __name__ == "__main__":
    prepare(Path(sys.argv[1]), Path(sys.argv[2]), size=64, workers=2, secret="x")
"""
MOMENTS = {  # what lies in the dataset when the run is killed -> how to see it
    "it is claimed": lambda out, _: (out / "dataset.json").exists(),
    "a few images are written": lambda out, draw: count(out) >= draw.integers(1, 10),
    "rows are recorded": lambda out, _: (out / ".rows.jsonl").exists(),
    "most images are written": lambda out, draw: count(out) >= draw.integers(66, 80),
    "the quarantine is written": lambda out, _: (out / "quarantine.jsonl").exists(),
    "the rows are written": lambda out, _: (out / "metadata.jsonl").exists(),
    "the card is written": lambda out, _: (out / "README.md").exists(),
}


def count(out):
    return sum(1 for _ in out.glob("images/*/*.png"))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Images with reports, and some that are refused, copied or skipped."""
    folder = tmp_path_factory.mktemp("many") / "source"
    lines = ["accession,report"]
    for index in range(FILES):
        path = folder / f"{index % 5}/{index:03d}.dcm"
        tags = {"PatientID": f"P{index // 2}", "AccessionNumber": f"A{index:03d}"}
        write_dicom(path, picture("many", index, side=96), 1, index, **tags)
        lines.append(f"A{index:03d},Small {'nodule' if index % 3 else 'effusion'}.")
    (folder / "reports.csv").write_text("\n".join(lines))
    (folder / "copy.dcm").write_bytes((folder / "0/000.dcm").read_bytes())
    (folder / "cut.dcm").write_bytes((folder / "1/001.dcm").read_bytes()[:-9])
    (folder / "notes.docx").write_bytes(b"x")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(folder / "flat.png")
    return folder


def start(source, out):
    words = [sys.executable, "-c", PROGRAM, str(source), str(out)]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_whatever_the_moment_the_same_command_ends_in_the_same_bytes(many, tmp_path):
    whole, cut = tmp_path / "whole" / "set", tmp_path / "cut" / "set"
    assert start(many, whole).wait() == 0
    assert count(whole) == FILES
    draw = numpy_rng("killed", 0)
    killed = []
    for moment, reached in MOMENTS.items():
        run = start(many, cut)
        while run.poll() is None and not reached(cut, draw):
            time.sleep(0.001)
        run.send_signal(signal.SIGKILL)
        killed += [moment] if run.wait() == -signal.SIGKILL else []
    assert len(killed) >= 4  # a run that was quicker than the look at it was not disturbed
    assert start(many, cut).wait() == 0
    assert contents(cut) == contents(whole)
    assert not [path for path in cut.rglob("*") if path.name.endswith(".tmp")]


def test_a_clock_that_jumps_and_another_language_change_nothing(many, tmp_path):
    plain, odd = tmp_path / "plain" / "set", tmp_path / "odd" / "set"
    assert start(many, plain).wait() == 0
    environment = os.environ | {"TZ": "Asia/Kathmandu", "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE"}
    words = [sys.executable, "-c", PROGRAM, str(many), str(odd)]
    subprocess.run(words, env=environment, check=True, stderr=subprocess.DEVNULL)
    assert contents(plain) == contents(odd)
