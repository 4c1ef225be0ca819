"""What the readers keep: levels, shapes, labels; and what they refuse."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from metrics.ingest import from_folder, native_size, open_images
from metrics.sets import Sets, Work, open_sets
from synth.config.schema import MetricsSection
from synth.data.images_in import Picture, Reading, find_pictures, is_tar
from synth.errors import SynthError, UsageError
from synth.images import load_grey
from synth.progress import Silent


def png(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(array).save(content, format="PNG")
    return content.getvalue()


def write_dicom(path: Path, stored: np.ndarray, *, inverted: bool = False) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, generate_uid()
    data.Rows, data.Columns = stored.shape
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    data.WindowCenter, data.WindowWidth = "2048", "4096"
    data.PixelData = stored.astype("<u2").tobytes()
    data.save_as(path, enforce_file_format=True)


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


RAMP = np.linspace(0, 65535, 64 * 64).reshape(64, 64).round().astype(np.uint16)


def test_a_16_bit_ramp_keeps_every_level(tmp_path: Path) -> None:
    (tmp_path / "ramp.png").write_bytes(png(RAMP))
    (picture,) = find_pictures(tmp_path)
    assert len(np.unique(picture.grey())) == 4096
    np.testing.assert_array_equal(np.rint(picture.grey() * 65535).astype(np.uint16), RAMP)


def test_eight_bits_rounded_never_truncated(tmp_path: Path) -> None:
    (tmp_path / "ramp.png").write_bytes(png(RAMP))
    found = open_images(tmp_path, 64).image_u8[0, 0].numpy().astype(float)
    error = found - RAMP / 257.0
    assert np.abs(error).max() <= 0.5 + 1e-6
    assert abs(error.mean()) < 0.01  # truncating would give -0.5


def test_the_declared_white_is_white(tmp_path: Path) -> None:
    twelve = np.linspace(0, 4095, 64 * 64).reshape(64, 64).round().astype(np.uint16)
    (tmp_path / "ramp.png").write_bytes(png(twelve))
    assert open_images(tmp_path, 64).image_u8.max() == 16
    declared = open_images(tmp_path, 64, reading=Reading(white=4095)).image_u8
    assert (declared.min(), declared.max()) == (0, 255)


def test_levels_beyond_the_declared_range_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ramp.png").write_bytes(png(RAMP))
    with pytest.raises(SynthError, match=r"0 to 65535; expected 0 to 4095"):
        find_pictures(tmp_path)[0].grey(Reading(white=4095))
    with pytest.raises(UsageError, match="positive"):
        Reading(white=0)


def test_floating_point_files_need_a_range(tmp_path: Path) -> None:
    levels = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    Image.fromarray(levels).save(tmp_path / "a.tiff")
    (picture,) = find_pictures(tmp_path)
    with pytest.raises(SynthError, match="no range of their own"):
        picture.grey()
    np.testing.assert_array_equal(picture.grey(Reading(white=1.0)), levels)


def test_eight_bit_files_are_read_as_everywhere_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "grey.png").write_bytes(png(rng.integers(0, 256, (9, 7), dtype=np.uint8)))
    (tmp_path / "rgb.png").write_bytes(png(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)))
    for picture in find_pictures(tmp_path):
        np.testing.assert_array_equal(picture.grey(Reading(white=4095)), load_grey(picture.path))


def test_padded_not_squashed(tmp_path: Path) -> None:
    (tmp_path / "wide.png").write_bytes(png(np.full((10, 30), 255, np.uint8)))
    image = open_images(tmp_path, 30).image_u8[0, 0]
    assert (image[10:20] == 255).all()
    assert (image[:10] == 0).all()


def test_dicom_by_content_and_polarity_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    stored = rng.integers(0, 4096, (20, 20))
    write_dicom(tmp_path / "1.2.840.113.7", stored)  # named by its UID, as archives do
    write_dicom(tmp_path / "b.dcm", 4095 - stored, inverted=True)
    one, two = (picture.grey() for picture in find_pictures(tmp_path))
    np.testing.assert_allclose(one, two, atol=1e-3)
    assert np.corrcoef(one.ravel(), stored.ravel())[0, 1] > 0.999


def test_dicom_inside_an_archive(tmp_path: Path) -> None:
    stored = np.random.default_rng(1).integers(0, 4096, (20, 20))
    write_dicom(tmp_path / "a.dcm", stored)
    plain = Picture("a.dcm", tmp_path / "a.dcm")
    archive = write_tar(tmp_path / "x.tar", {"a.dcm": plain.content()})
    (packed,) = find_pictures(archive)
    np.testing.assert_array_equal(packed.grey(), plain.grey())
    assert packed.sha256() == plain.sha256()


def test_unreadable_files_are_counted_never_black(tmp_path: Path) -> None:
    good = png(np.full((8, 8), 200, np.uint8))
    (tmp_path / "a.png").write_bytes(good)
    (tmp_path / "b.png").write_bytes(good[:40])
    (tmp_path / "c.dcm").write_bytes(b"nothing")
    found = from_folder(tmp_path, 8)
    assert found.names == ("a.png",)
    assert [text.split(":")[0] for text in found.refused] == ["b.png", "c.dcm"]
    assert found.image_u8.min() == 200


def test_webdataset_of_the_exporter_keeps_patients_and_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    facts = {"split": "val", "patient_id": "p1", "opacity": 1, "nodule": None, "licence": None}
    members = {}
    for index in range(4):
        said = facts | {"sample_id": f"s{index}", "nodule": index % 2}
        members[f"k{index}.png"] = png(rng.integers(0, 256, (8, 8), dtype=np.uint8))
        members[f"k{index}.json"] = json.dumps(said).encode()
        members[f"k{index}.txt"] = b"text"
    write_tar(tmp_path / "val-000000.tar", members)
    assert is_tar(tmp_path)
    (tmp_path / "dataset.json").write_text('{"name": "x", "size": 8}')
    assert native_size(tmp_path) == 8
    found = open_images(tmp_path, 8)
    assert found.ids == ("s0", "s1", "s2", "s3")
    assert found.groups == ("p1",) * 4
    assert found.findings == ("nodule", "opacity")
    np.testing.assert_array_equal(found.columns(["nodule"])[:, 0], [0, 1, 0, 1])


def test_a_plain_webdataset_has_images_alone(tmp_path: Path) -> None:
    image = png(np.full((8, 8), 9, np.uint8))
    path = write_tar(
        tmp_path / "x.tar", {"d/a.seg.png": image, "d/b.png": image, "d/b.json": b"[1]"}
    )
    found = open_images(path, 8)
    assert found.names == ("d/a.png", "d/b.png")
    assert found.findings == ()
    assert found.groups is None


def test_a_cut_archive_is_an_error(tmp_path: Path) -> None:
    image = png(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))
    path = write_tar(tmp_path / "x.tar", {"a.png": image, "b.png": image})
    pictures = find_pictures(path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(SynthError, match="ends inside an image"):
        pictures[1].content()
    (tmp_path / "bad.tar").write_bytes(b"x" * 600)
    with pytest.raises(SynthError, match="not a readable tar"):
        find_pictures(tmp_path / "bad.tar")
    (tmp_path / "x.tar.gz").write_bytes(b"")
    with pytest.raises(SynthError, match="gunzip"):
        find_pictures(tmp_path / "x.tar.gz")


def roles(real: Path, synthetic: Path, train: Path | None = None) -> tuple[Sets, Work]:
    work = Work(MetricsSection(), Silent())
    return open_sets(real, synthetic, train, None, work), work


def test_archives_with_splits_are_used_by_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("test", 2)):
        members = {}
        for index in range(count):
            said = {"split": split, "patient_id": f"{split}{index}", "sample_id": f"{split}{index}"}
            members[f"{index}.png"] = png(rng.integers(0, 256, (8, 8), dtype=np.uint8))
            members[f"{index}.json"] = json.dumps(said).encode()
        write_tar(tmp_path / f"{split}-000000.tar", members)
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a.png").write_bytes(png(rng.integers(0, 256, (8, 8), dtype=np.uint8)))
    real = tmp_path / "real"
    real.mkdir()
    for path in tmp_path.glob("*.tar"):
        path.rename(real / path.name)
    sets, _ = roles(real, tmp_path / "made")
    assert sets.real.ids == ("test0", "test1")
    assert sets.train is not None
    assert sets.train.ids == ("train0", "train1", "train2")
    assert torch.equal(sets.train.image_u8, open_images(real / "train-000000.tar", 256).image_u8)


def test_dark_images_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(png(RAMP // 16))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.png").write_bytes(png(RAMP))
    _, work = roles(tmp_path / "a", tmp_path / "b")
    assert [text for text in work.warnings if "--white" in text and "/a is 16" in text]
    assert not [text for text in work.warnings if "/b is" in text]
