"""Masks beside images: a dataset that has them is whole, and preparing does not trip over them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synth.data.prepare import prepare
from synth.data.verify import verify_dataset
from synth.images import save_png
from synth.manifest import open_dataset, write_sha256sums

from .conftest import SMALL, contents, picture, refused


def add_masks(folder: Path) -> None:
    """A mask for every second image of a dataset; one of them is empty."""
    table = folder / "metadata.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    for index, row in enumerate(rows[::2]):
        mask = np.zeros((row["height"], row["width"]), dtype=np.uint8)
        mask[2:6, 3:9] = 255 if index else 0
        row["mask_file_name"] = f"masks/{row['sample_id']}.png"
        save_png(folder / row["mask_file_name"], mask)
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_sha256sums(folder, exclude=("quarantine.jsonl",))


@pytest.fixture
def dataset(tiny_dataset, tmp_path) -> Path:
    folder = Path(shutil.copytree(tiny_dataset, tmp_path / "dataset"))
    add_masks(folder)
    return folder


def problems(folder: Path) -> list[tuple[str, str]]:
    return [(item.kind, item.problem) for item in verify_dataset(folder).problems]


def test_a_dataset_with_masks_is_whole(dataset):
    assert problems(dataset) == []
    inside = dataset / "images" / "masks"
    shutil.move(dataset / "masks", inside)  # beside the images they are no strangers either
    table = dataset / "metadata.jsonl"
    table.write_text(table.read_text().replace("masks/", "images/masks/"))
    write_sha256sums(dataset)
    assert problems(dataset) == []


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.unlink(), "the mask is missing: `masks/tiny-004.png`"),
        (lambda path: Image.new("L", (16, 32)).save(path), "16×32; expected 32×32"),
        (lambda path: Image.new("RGB", (32, 32)).save(path), "the mask has not one channel"),
        (lambda path: Image.new("P", (32, 32)).save(path), "the mask has not one channel"),
        (lambda path: Image.new("L", (32, 32)).save(path, "JPEG"), "the mask is not a PNG"),
        (lambda path: Image.new("L", (32, 32), 1).save(path), "the mask has no outside"),
        (lambda path: path.write_bytes(b"\x89PNG"), "the mask cannot be decoded"),
    ],
)
def test_a_wrong_mask_is_found(dataset, spoil, problem):
    spoil(dataset / "masks" / "tiny-004.png")
    found = [text for kind, text in problems(dataset) if kind == "mask"]
    assert len(found) == 1
    assert problem in found[0]


def test_a_changed_mask_differs_from_the_sums(dataset):
    Image.new("L", (32, 32)).save(dataset / "masks" / "tiny-004.png")
    assert problems(dataset) == [("hash", "differs from SHA256SUMS")]


@pytest.mark.parametrize("name", ["../elsewhere.png", "/etc/hostname", 7])
def test_a_mask_outside_the_dataset_is_found(dataset, name):
    table = dataset / "metadata.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    rows[0]["mask_file_name"] = name
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_sha256sums(dataset)
    (found,) = [text for kind, text in problems(dataset) if kind == "mask"]
    assert "outside the dataset" in found or "is not a file name" in found


@pytest.mark.parametrize("place", ["masks/0.png", "other/masks/0.png"])
def test_a_mask_in_a_source_is_no_image_and_hides_no_report(tmp_path, place):
    source = tmp_path / "source"
    (source / "images").mkdir(parents=True)
    Image.fromarray(picture("one")).save(source / "images" / "0.png")
    Image.fromarray(picture("two")).save(source / "images" / "1.png")
    (source / place).parent.mkdir(parents=True)
    Image.new("L", (40, 40)).save(source / place)
    table = {"images": "", "other/masks/0.png": "other/"}.get(place, "")
    rows = [
        {"file_name": "0.png", "text": "Nodule.", "mask_file_name": place.removeprefix(table)},
        {"file_name": "1.png", "text": "No nodule.", "mask_file_name": None},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (source / table / "metadata.jsonl").write_text(lines)
    summary = prepare(source, tmp_path / "out", **SMALL)
    assert (summary.inputs, summary.ok, summary.quarantined) == (2, 2, 0)
    assert refused(tmp_path / "out", "skipped")[place] == "mask"
    labels = [row.labels["nodule"] for row in open_dataset(tmp_path / "out").rows]
    assert sorted(labels) == [0, 1]


def test_preparing_again_keeps_the_masks_that_were_added(raster_source, tmp_path):
    out = tmp_path / "out"
    prepare(raster_source, out, **SMALL)
    add_masks(out)
    before = contents(out)
    prepare(raster_source, out, **SMALL)
    assert contents(out) == before
    assert problems(out) == []
