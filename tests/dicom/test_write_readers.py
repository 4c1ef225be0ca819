"""Other people's software on written files: ``dciodvfy`` and ``dcmdump``, where installed."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from synth.dicom.text_report import text_report
from synth.dicom.write import REGIONS, SyntheticFacts, synthetic_image, to_bytes

FACTS = SyntheticFacts(
    name="syn-000001",
    digest="d" * 64,
    text="größe: small nodule\nat the left base",
    derivation="SYNTHETIC: weights aaaa",
    version="0.1.0",
    model="weights aaaa",
    sex="F",
    view="PA",
)
IODS = ("SCImage", "DXImageForPresentation", "BasicTextSR")
IGNORANCE = (  # its dictionary is older than Synthetic Data (0008,001C)
    "(0x0008,0x001c)  ?  - Warning - Unrecognized tag - assuming explicit value representation OK",
    "Error - Attribute with an even group number is not a recognized standard attribute - "
    "(0x0008,0x001c)  ?",
    "Warning - Attribute is not present in standard DICOM IOD - (0x0008,0x001c)  ?",
    "Warning - Dicom dataset contains attributes not present in standard DICOM IOD - "
    "this is a Standard Extended SOP Class",
)
needs_dciodvfy = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed"
)
needs_dcmdump = pytest.mark.skipif(
    shutil.which("dcmdump") is None, reason="dcmdump (Debian: dcmtk) is not installed"
)


def findings(dataset, folder):
    path = folder / "x.dcm"
    path.write_bytes(to_bytes(dataset))
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    assert set(lines) & set(IODS)  # it knew what to check
    return [line for line in lines if line not in (*IODS, *IGNORANCE)]


@needs_dciodvfy
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("view", ["PA", "AP", "LATERAL", None])
@pytest.mark.parametrize("sop_class", ["sc", "dx"])
def test_the_validator_finds_nothing(kind, view, sop_class, tmp_path):
    if sop_class == "dx" and view not in ("PA", "AP"):
        return  # refused
    image = np.arange(15, dtype=kind).reshape(3, 5)
    facts = replace(FACTS, view=view, sex=None if view is None else "M")
    assert findings(synthetic_image(image, facts, sop_class=sop_class), tmp_path) == []


@needs_dciodvfy
@pytest.mark.parametrize("sop_class", ["sc", "dx"])
@pytest.mark.parametrize("body_part", REGIONS)
def test_the_validator_knows_every_body_part(body_part, sop_class, tmp_path):
    image = np.zeros((4, 4), np.uint8)
    facts = replace(FACTS, body_part=body_part)
    assert findings(synthetic_image(image, facts, sop_class=sop_class), tmp_path) == []


@needs_dciodvfy
def test_a_side_that_is_not_known_stays_empty(tmp_path):
    """The validator would have it stated; to state one would be to make it up."""
    image = synthetic_image(np.zeros((4, 4), np.uint8), replace(FACTS, body_part="HAND"))
    (line,) = findings(image, tmp_path)
    assert "only permitted to be empty when actually unknown" in line


@needs_dciodvfy
@pytest.mark.parametrize("sop_class", ["sc", "dx"])
def test_the_validator_finds_nothing_in_a_report(sop_class, tmp_path):
    pytest.importorskip("highdicom")
    image = synthetic_image(np.zeros((4, 4), np.uint8), FACTS, sop_class=sop_class)
    assert findings(text_report(image, FACTS.text), tmp_path) == []


@needs_dciodvfy
def test_the_validator_looks(tmp_path):
    """Without this, the tests above could not fail."""
    image = synthetic_image(np.zeros((4, 4), np.uint8), FACTS)
    del image.ConversionType
    assert any("ConversionType" in line for line in findings(image, tmp_path))


@needs_dcmdump
@pytest.mark.parametrize("sop_class", ["sc", "dx"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(64, 48), (3, 5)])
def test_dcmtk_reads_the_same_pixels(kind, shape, sop_class, tmp_path):
    rng = np.random.Generator(np.random.PCG64(0))
    image = rng.integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)
    path, raw = tmp_path / "x.dcm", tmp_path / "raw"
    path.write_bytes(to_bytes(synthetic_image(image, FACTS, sop_class=sop_class)))
    raw.mkdir()
    command = ["dcmdump", "--load-all", "--write-pixel", str(raw), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    (content,) = [file.read_bytes() for file in raw.iterdir()]
    found = np.frombuffer(content, dtype=np.dtype(kind).newbyteorder("<"))[: image.size]
    assert np.array_equal(found.reshape(shape), image)
    assert f"US {shape[0]} " in done.stdout


@needs_dcmdump
def test_dcmtk_reads_the_text_and_the_mark(tmp_path):
    path = tmp_path / "x.dcm"
    path.write_bytes(to_bytes(synthetic_image(np.zeros((4, 4), np.uint8), FACTS)))
    command = ["dcmdump", "--load-all", "--print-all", str(path)]
    dump = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    assert "(0008,001c) CS [YES]" in dump
    assert "größe: small nodule" in dump
    assert "Synthesizing Equipment" in dump
