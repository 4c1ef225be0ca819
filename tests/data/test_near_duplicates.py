import io
import json
import time

import numpy as np
import pytest
from PIL import Image

from synth.data.near_duplicates import (
    MAX_DISTANCE,
    NearDuplicate,
    describe,
    distance,
    near_duplicates,
    perceptual_hash,
)
from synth.data.prepare import prepare
from synth.images import save_png
from synth.manifest import open_dataset, read_jsonl, sha256_file
from synth.seeding import numpy_rng


def chest(*parts: int | str, side: int = 128) -> np.ndarray:
    """uint8 [side, side]: two dark lungs around a bright spine, a little different each time."""
    rng = numpy_rng("chest", *parts)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    image = 150.0 + 60 * np.exp(-(((x - rng.normal(0, 0.03)) / 0.15) ** 2))
    for center in (-0.45, 0.45):
        place = center + rng.normal(0, 0.04, 2)
        width, height = rng.normal((0.3, 0.6), 0.05)
        image -= 90 * np.exp(-(((x - place[0]) / width) ** 4) - ((y - place[1] / 3) / height) ** 4)
    ribs = np.sin(9 * np.pi * (y + rng.normal(0, 0.2) + 0.3 * abs(x)) * rng.normal(1, 0.05))
    image += 12 * ribs
    for cells, strength in ((12, 12), (24, 9), (48, 6)):  # vessels and marks of this patient alone
        marks = Image.fromarray(rng.normal(0, strength, (cells, cells)).astype(np.float32))
        image += np.asarray(marks.resize((side, side), Image.Resampling.BICUBIC))
    return np.clip(image, 0, 255).astype(np.uint8)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def resized(image: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS))


COPIES = {
    "same": lambda image: image,
    "smaller": lambda image: resized(image, 64),
    "larger": lambda image: resized(image, 300),
    "jpeg": lambda image: jpeg(image, 50),
    "brighter": lambda image: np.clip(image * 1.08, 0, 255).astype(np.uint8),
    "darker": lambda image: (image * 0.92).astype(np.uint8),
    "small jpeg": lambda image: jpeg(resized(image, 96), 70),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_is_recognised(copy):
    apart = [distance(perceptual_hash(chest(i)), perceptual_hash(copy(chest(i)))) for i in range(8)]
    assert max(apart) <= MAX_DISTANCE


def test_look_alikes_are_told_apart():
    hashes = [perceptual_hash(chest(index)) for index in range(150)]
    apart = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > 2 * MAX_DISTANCE


def test_the_hash_is_the_signs_of_a_cosine_transform():
    scipy_fft = pytest.importorskip("scipy.fft")
    image = chest("reference", side=32)
    waves = scipy_fft.dctn(image.astype(np.float64), norm=None)[3:19, 3:19] / 4
    assert perceptual_hash(image) == np.packbits(waves.ravel() > 0.5).tobytes().hex()
    assert perceptual_hash(np.full((40, 40), 9, np.uint8)) == "0" * 64


def turned(value: str, bits: int, *parts: int) -> str:
    """The hash with that many bits changed."""
    chosen = numpy_rng("turned", *parts).choice(256, bits, replace=False)
    return f"{int(value, 16) ^ sum(1 << int(bit) for bit in chosen):064x}"


def some_hashes(count: int) -> list[str]:
    return [numpy_rng("hash", index).bytes(32).hex() for index in range(count)]


def test_every_pair_is_found_once_and_no_other():
    hashes = some_hashes(300)
    hashes += [turned(value, i % 16, i) for i, value in enumerate(hashes[:160])]
    hashes += [""]  # made before there were hashes
    patients = [f"p{i}" for i in range(len(hashes))]
    expected = {
        NearDuplicate(i, j, distance(hashes[i], hashes[j]))
        for j in range(460)
        for i in range(j)
        if distance(hashes[i], hashes[j]) <= MAX_DISTANCE
    }
    found = list(near_duplicates(hashes, patients))
    assert len(expected) == 160 * 13 / 16
    assert set(found) == expected
    assert len(found) == len(expected)


def test_images_of_one_patient_may_look_alike():
    value = some_hashes(1)[0]
    assert list(near_duplicates([value] * 3, ["a", "a", "a"])) == []
    assert len(list(near_duplicates([value] * 3, ["a", "b", "a"]))) == 2
    assert list(near_duplicates([], [])) == []
    assert list(near_duplicates([value], ["a"])) == []


def test_a_hundred_thousand_images_take_seconds():
    base = numpy_rng("many").integers(0, 2, (100_000, 256), dtype=np.uint8)
    base[:, ::4] &= numpy_rng("bias").random((100_000, 64)) < 0.1  # dependent, uneven bits
    raw = np.packbits(base, axis=1)
    raw[-50:] = raw[:50]
    hashes = [row.tobytes().hex() for row in raw]
    started = time.perf_counter()
    found = list(near_duplicates(hashes, [str(index) for index in range(len(hashes))]))
    assert len(found) == 50
    assert time.perf_counter() - started < 30


def test_the_search_stops_in_time():
    row = {"sample_id": "a", "split": "train", "phash": some_hashes(1)[0]}
    rows = [{**row, "patient_id": f"p{index}"} for index in range(50)]
    lines, more = describe(rows, most=100)
    assert (len(lines), more) == (100, True)
    lines, more = describe(rows[:3], most=3)
    assert (len(lines), more) == (3, False)


def test_they_are_reported_and_nothing_is_moved(tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    lines = ["image,report,patient_id,split"]
    for index in range(12):
        save_png(source / f"{index}.png", chest("case", index))
        split = ("train", "val", "test")[index % 3]
        lines.append(f"{index}.png,Small nodule.,p{index},{split}")
    save_png(source / "again.png", COPIES["jpeg"](chest("case", 0)))  # train, comes back in test
    save_png(source / "twin.png", COPIES["brighter"](chest("case", 3)))  # train, other patient
    save_png(source / "later.png", COPIES["darker"](chest("case", 6)))  # the same patient
    lines += ["again.png,Small nodule.,q,test", "twin.png,Small nodule.,r,train"]
    lines += ["later.png,Small nodule.,p6,train"]
    (source / "table.csv").write_text("\n".join(lines))
    prepare(source, out, size=64)
    dataset = open_dataset(out)
    found = list(read_jsonl(out / "near_duplicates.jsonl"))
    assert len(dataset.rows) == 15
    assert dataset.info.counts["near_duplicates"] == 2
    assert dataset.info.counts["near_duplicates_across_splits"] == 1
    assert sorted(sorted(line["splits"]) for line in found) == [
        ["test", "train"],
        ["train", "train"],
    ]
    rows = {row.sample_id: row for row in dataset.rows}
    for line in found:
        first, second = (rows[name] for name in line["sample_ids"])
        assert line["distance"] == distance(first.phash, second.phash)
        assert first.patient_id != second.patient_id
    assert (
        "2 pairs of images of different patients look the same" in (out / "README.md").read_text()
    )
    sums = dict(line.split("  ")[::-1] for line in (out / "SHA256SUMS").read_text().splitlines())
    assert sums["near_duplicates.jsonl"] == sha256_file(out / "near_duplicates.jsonl")
    assert json.loads((out / "dataset.json").read_text())["preprocessing"]["near_duplicates"]
    prepare(source, tmp_path / "off", size=64, near_duplicates=False)
    assert not (tmp_path / "off/near_duplicates.jsonl").exists()
