import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synth.data.convert import Converted, ConvertOptions, convert_all
from synth.data.inputs import Input
from synth.data.pool import DecodeBudget
from synth.dicom import DecodeLimits
from synth.images import fit_square, grey_to_u8

OPTIONS = ConvertOptions(32, "none", DecodeLimits())


@pytest.fixture
def write(tmp_path: Path, monkeypatch) -> Callable[..., Path]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    from mutants import write_dicom

    return lambda array, name="x.dcm", **tags: write_dicom(tmp_path / name, array, **tags)


def run(*paths: Path, **options) -> list[Converted]:
    items = [Input(path, path.name, "dicom") for path in paths]
    return list(convert_all(items, OPTIONS, workers=1, **options))


def test_the_png_holds_the_padded_and_resized_image(write):
    array = (np.arange(60 * 40).reshape(60, 40) % 4096).astype(np.uint16)
    [converted] = run(write(array))
    expected = grey_to_u8(fit_square((array / 4095).astype(np.float32), 32))
    with Image.open(io.BytesIO(converted.png)) as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), expected)
    assert len(converted.phash) == 64
    assert "spacing_missing" in converted.flags


def test_a_file_beyond_the_memory_budget_is_told_so(write):
    array = np.zeros((6000, 6000), np.uint16)
    array[::7] = 500
    big = write(array, "big.dcm")
    small = write(None, "small.dcm")
    budget = DecodeBudget(memory_bytes=350 << 20)
    first, second = run(big, small, budget=budget)
    assert first.refusal is not None
    assert first.refusal.code == "decode_memory"
    assert second.refusal is None


def test_a_file_that_is_given_up_still_says_whose_it_is(write):
    """So that its report does not seem to lack an image."""
    path = write(np.eye(3000, dtype=np.uint16), PatientID="H-1", AccessionNumber="A-9")
    [converted] = run(path, budget=DecodeBudget(cpu_seconds=0.02))
    assert converted.refusal is not None
    assert converted.refusal.code == "decode_timeout"
    assert converted.refusal.detail == "took more than 0.02 s of CPU time"
    assert converted.identity.accession == "A-9"
