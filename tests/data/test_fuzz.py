"""Damaged DICOM files through the code of ``prepare``: always an image or a reason.

``SYNTH_FUZZ=20000`` makes more mutants than the usual 2,000 and says what became of them;
``SYNTH_FUZZ_FROM=2000`` starts at another number. Number n is always the same file.
"""

import io
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from synth.data.convert import Converted, ConvertOptions, convert_all
from synth.data.inputs import Input
from synth.data.pool import DecodeBudget
from synth.data.quarantine import IMAGE_CODES
from synth.dicom import FLAGS, DecodeLimits
from synth.dicom.refusal import CODES

COUNT = int(os.environ.get("SYNTH_FUZZ", "2000"))
FIRST = int(os.environ.get("SYNTH_FUZZ_FROM", "0"))
OPTIONS = ConvertOptions(32, "auto", DecodeLimits())
BUDGET = DecodeBudget(cpu_seconds=10, wall_seconds=60, memory_bytes=2 << 30)
SECRET = "Quorra"


def test_every_mutant_is_an_image_or_a_reason(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    from mutants import corpus, mutant

    (tmp_path / "corpus").mkdir()
    files = corpus(tmp_path / "corpus")
    outcomes: Counter[str] = Counter()
    started = time.monotonic()

    def items() -> Iterator[Input]:
        for number in range(FIRST, FIRST + COUNT):
            path = tmp_path / f"{number}.dcm"
            path.write_bytes(mutant(files, number))
            yield Input(path, path.name, "dicom")

    for converted in convert_all(items(), OPTIONS, workers=1, budget=BUDGET):
        check(converted)
        outcomes[converted.refusal.code if converted.refusal else "converted"] += 1
        converted.item.path.unlink()
    if "SYNTH_FUZZ" in os.environ:
        report(outcomes, time.monotonic() - started)
    assert outcomes.total() == COUNT
    assert outcomes["converted"] > COUNT / 5
    assert len(outcomes) > 6  # the damage is of many kinds


def check(converted: Converted) -> None:
    """One image, or one refusal with a documented code and no word of the file."""
    name, refusal = converted.item.name, converted.refusal
    if refusal is None:
        with Image.open(io.BytesIO(converted.png)) as image:
            assert (image.size, image.mode) == ((32, 32), "L"), name
        assert set(converted.flags) <= set(FLAGS), name
        return
    assert converted.png == b"", name
    assert refusal.code in {*CODES, *IMAGE_CODES}, f"{name}: {refusal.code}"
    assert refusal.code != "io_error", name  # these files can all be read
    assert refusal.detail, name
    assert not refusal.detail.startswith("unexpected"), f"{name}: {refusal.detail}"
    assert SECRET not in refusal.detail, name


def report(outcomes: Counter[str], seconds: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    lines = [f"{count:7} {code}" for code, count in outcomes.most_common()]
    lines.append(f"{seconds:.0f} s, largest worker {peak:.0f} MiB resident")
    sys.__stdout__.write("\n" + "\n".join(lines) + "\n")  # type: ignore[union-attr]
