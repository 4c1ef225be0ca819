"""`synth evaluate --out X`, then `synth report X`: the pictures are those of the sets scored."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from synth.manifest import DatasetInfo, Row, append_jsonl, write_json

LEVELS = {"real": 40, "syn": 80, "train": 120, "other": 160}  # of the corner: whose image it is
SIDE = 32
SCORE = ("--metrics", "memorization,failures,kd", "--extractor", "pixel")


def pixels(name: str, index: int) -> np.ndarray:
    image = np.random.default_rng([LEVELS[name], index]).integers(0, 256, (SIDE, SIDE))
    image[:8, :8] = LEVELS[name]
    return image.astype(np.uint8)


def as_png(image: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, format="PNG")
    return content.getvalue()


def plain(folder: Path, name: str) -> Path:
    """A folder of 14 PNGs, whose names are those of every other set."""
    folder.mkdir(parents=True)
    for index in range(14):
        (folder / f"{index:02d}.png").write_bytes(as_png(pixels(name, index)))
    return folder


def dicom(folder: Path, name: str) -> Path:
    folder.mkdir()
    for index in range(14):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name, str(index)])
        data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2"
        data.Rows = data.Columns = SIDE
        data.SamplesPerPixel, data.PixelRepresentation = 1, 0
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
        data.PhotometricInterpretation = "MONOCHROME2"
        data.WindowCenter, data.WindowWidth = "2048", "4096"
        levels = np.rint(pixels(name, index) / 255 * 4095)
        data.PixelData = levels.astype("<u2").tobytes()
        data.save_as(folder / f"IM{index:03d}", enforce_file_format=True)
    return folder


def tarred(folder: Path, name: str) -> Path:
    folder.mkdir()
    with tarfile.open(folder / "0.tar", "w") as tar:
        for index in range(14):
            content = as_png(pixels(name, index))
            member = tarfile.TarInfo(f"{index:02d}.png")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return folder


def twelve_bit(folder: Path, name: str) -> Path:
    folder.mkdir()
    for index in range(14):
        levels = np.rint(pixels(name, index) / 255 * 4095).astype(np.uint16)
        Image.fromarray(levels).save(folder / f"{index:02d}.png")
    return folder


def dataset(folder: Path, name: str) -> Path:
    rows = []
    for index in range(14):
        file = f"images/{index:02d}.png"
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(as_png(pixels(name, index)))
        row = Row(file_name=file, sample_id=f"{name}-{index}", split="test", width=SIDE)
        rows.append(row.model_copy(update={"labels": {"hernia": index % 2}}))
    append_jsonl(folder / "metadata.jsonl", rows)
    write_json(folder / "dataset.json", DatasetInfo(name=name, size=SIDE))
    return folder


def pictures(page: Path) -> list[tuple[str, str]]:
    """(alternative text, set whose image it is) of every picture of the page."""
    found = []
    for tag in re.findall(r"<img [^>]*>", page.read_text("utf-8")):
        alt = str(re.search(r'alt="([^"]*)"', tag)[1])
        content = base64.b64decode(re.search(r'base64,([^"]+)"', tag)[1])
        corner = np.asarray(Image.open(io.BytesIO(content)))[2:6, 2:6].mean()
        found.append((alt, next(name for name, level in LEVELS.items() if abs(level - corner) < 3)))
    return found


def words(page: Path) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.read_text("utf-8")).split())


def shown(page: Path, kind: str) -> set[str]:
    """The sets of the pictures whose alternative text starts so."""
    return {name for alt, name in pictures(page) if alt.startswith(kind)}


def score(synth, folder: Path, *, real="real", made="syn", train="train", out="run1", more=()):
    sides = ("--real", folder / real, "--synthetic", folder / made)
    trained = ("--train", folder / train) if train else ()
    code, out_text, err = synth("evaluate", *sides, *trained, *SCORE, "--out", folder / out, *more)
    assert code == 0, err
    return out_text


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """Plain folders real, syn and train, and their scores in run1; to be copied, not changed."""
    from metrics.chosen import Choices
    from metrics.run import evaluate
    from synth.config.schema import MetricsSection

    folder = tmp_path_factory.mktemp("kept")
    for name in ("real", "syn", "train"):
        plain(folder / name, name)
    evaluate(
        real=folder / "real",
        synthetic=folder / "syn",
        train=folder / "train",
        settings=MetricsSection(),
        out=folder / "run1",
        choices=Choices(metrics=("memorization", "failures", "kd"), extractors=("pixel",)),
    )
    return folder


@pytest.fixture
def scored(kept, tmp_path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "scored"))


def test_plain_folders_make_a_page_of_their_pictures(synth, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("real", "syn", "train"):
        plain(tmp_path / name, name)
    (tmp_path / "real" / "00-broken.png").write_bytes(b"no image")
    assert "page: synth report run1" in score(synth, Path())
    code, _, err = synth("report", "run1", "--json")
    assert (code, err) == (0, "")
    page = tmp_path / "run1" / "report.html"
    found = pictures(page)
    assert found.count(("real image: all images", "real")) == 6
    assert found.count(("synthetic image: all images", "syn")) == 6
    assert shown(page, "training image ") == {"train"}  # though every set has the same names
    assert shown(page, "nearest real image") == {"real"}
    assert shown(page, "synthetic image") == shown(page, "other synthetic") == {"syn"}
    assert "14 synthetic images were compared with 14 real images." in words(page)
    for file in ("report.html", "scores.json", "scores.md"):  # they are passed on
        assert str(tmp_path) not in (tmp_path / "run1" / file).read_text("utf-8")


@pytest.mark.parametrize(
    ("write", "more"), [(dicom, ()), (tarred, ()), (twelve_bit, ("--white", "4095")), (dataset, ())]
)
def test_every_kind_of_set_is_shown_as_it_was_read(synth, tmp_path, write, more):
    for name in ("real", "syn"):
        write(tmp_path / name, name)
    plain(tmp_path / "train", "train")
    score(synth, tmp_path, more=more, train="" if more else "train")
    code, _, err = synth("report", tmp_path / "run1")
    assert (code, err) == (0, "")
    page = tmp_path / "run1" / "report.html"
    assert shown(page, "real image") == shown(page, "nearest real image") == {"real"}
    assert shown(page, "synthetic image") == {"syn"}
    assert shown(page, "training image ") == (set() if more else {"train"})


def test_one_archive_file_is_a_set_too(synth, tmp_path):
    plain(tmp_path / "real", "real")
    made = tarred(tmp_path / "packed", "syn") / "0.tar"
    score(synth, tmp_path, made=made.relative_to(tmp_path), train="")
    assert synth("report", tmp_path / "run1")[0] == 0
    assert shown(tmp_path / "run1" / "report.html", "synthetic image") == {"syn"}


def test_saved_statistics_make_a_page_without_pictures(synth, scored):
    for name in ("real", "syn"):
        code, _, _ = synth(
            *("evaluate", "features", scored / name, "--extractor", "pixel"),
            *("--out", scored / f"{name}.npz"),
        )
        assert code == 0
    for real, made, left in (("real.npz", "syn", {"syn"}), ("real.npz", "syn.npz", set())):
        code, _, _ = synth(
            *("evaluate", "--real", scored / real, "--synthetic", scored / made),
            *("--extractor", "pixel", "--out", scored / "run2"),
        )
        assert code == 0
        code, _, err = synth("report", scored / "run2")
        assert code == 0
        reason = "Real images are not shown: saved statistics hold a mean and a covariance"
        page = scored / "run2" / "report.html"
        assert reason in err
        assert reason in words(page)
        assert {name for _, name in pictures(page)} == left
        assert "14 synthetic images were compared with 14 real images." in words(page)


def test_folders_that_moved_together_stay_together(synth, scored):
    moved = scored.rename(scored.with_name("elsewhere"))
    code, _, err = synth("report", moved / "run1")
    assert (code, err) == (0, "")
    assert {name for _, name in pictures(moved / "run1" / "report.html")} == {*LEVELS} - {"other"}


def test_a_set_that_is_gone_is_a_reason_until_it_is_named(synth, scored):
    (scored / "syn").rename(scored / "new-place")
    code, _, err = synth("report", scored / "run1")
    page = scored / "run1" / "report.html"
    assert code == 0
    reason = "Synthetic images are not shown: syn, where they were scored: no such folder"
    assert reason in err
    assert words(page).count(reason) >= 2  # where the galleries and the failures would be
    assert {name for _, name in pictures(page)} == {"real"}
    assert "14 synthetic images, scored" in words(page)
    named = ("--synthetic", scored / "new-place", "--out", scored / "whole.html")
    code, _, err = synth("report", scored / "run1", *named)
    assert (code, err) == (0, "")
    assert shown(scored / "whole.html", "synthetic image") == {"syn"}


def test_training_images_that_moved_are_named_too(synth, scored):
    (scored / "train").rename(scored / "new-place")
    code, _, err = synth("report", scored / "run1")
    page = scored / "run1" / "report.html"
    assert code == 0
    assert "Training images are not shown: train, where they were scored" in err
    assert shown(page, "training image ") == set()
    assert synth("report", scored / "run1", "--train", scored / "new-place")[0] == 0
    assert shown(page, "training image ") == {"train"}


def test_another_set_at_the_same_place_is_not_shown(synth, scored):
    shutil.rmtree(scored / "real")
    plain(scored / "real", "other")
    code, _, err = synth("report", scored / "run1")
    page = scored / "run1" / "report.html"
    assert code == 0
    assert "real has changed, its files are not those that were scored" in err
    assert shown(page, "real image") == shown(page, "nearest real") == set()
    code, _, err = synth("report", scored / "run1", "--real", scored / "real")
    assert code == 0
    assert "whose files are not those that were scored" in err
    said = "a picture may be another one than its number is about"
    assert words(page).count(said) == 3  # beside the gallery, the closest pairs and the failures
    assert shown(page, "real image") == {"other"}  # asked for, and said


def test_a_table_that_changed_is_another_set(synth, tmp_path):
    plain(tmp_path / "real", "real")
    dataset(tmp_path / "syn", "syn")
    score(synth, tmp_path, train="")
    table = tmp_path / "syn" / "metadata.jsonl"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    code, _, err = synth("report", tmp_path / "run1")
    assert code == 0
    assert "Synthetic images are not shown: syn has changed" in err


def run_folder(folder: Path) -> Path:
    """A run trained on the dataset ``real``, whose own synthetic images are those of ``train``."""
    dataset(folder / "real", "real")
    dataset(folder / "run1" / "synthetic", "train")
    text = f"data: {{dataset: {folder / 'real'}}}\nrun: {{out: {folder / 'run1'}}}\n"
    (folder / "run1" / "config.yaml").write_text(text)
    return folder / "run1"


def test_a_run_shows_the_sets_that_were_scored_not_its_own(synth, tmp_path):
    run = run_folder(tmp_path)
    dataset(tmp_path / "another", "other")
    plain(tmp_path / "syn", "syn")
    score(synth, tmp_path, real="another", train="")
    code, _, err = synth("report", run)
    assert (code, err) == (0, "")
    assert {name for _, name in pictures(run / "report.html")} == {"other", "syn"}


def test_older_scores_of_a_run_show_what_it_is_configured_for(synth, tmp_path):
    run = run_folder(tmp_path)
    score(synth, tmp_path, made="run1/synthetic", train="")
    scores = json.loads((run / "scores.json").read_text())
    for facts in scores["provenance"]["sets"].values():
        del facts["path"], facts["files_sha256"]
    (run / "scores.json").write_text(json.dumps(scores))
    code, _, err = synth("report", run)
    assert (code, err) == (0, "")
    assert shown(run / "report.html", "real image") == {"real"}
    assert shown(run / "report.html", "synthetic image") == {"train"}


def test_older_scores_without_a_run_ask_for_the_sets(synth, scored):
    path = scored / "run1" / "scores.json"
    scores = json.loads(path.read_text())
    del scores["provenance"]["sets"]
    path.write_text(json.dumps(scores))
    code, _, err = synth("report", scored / "run1")
    assert code == 0
    assert "of an older version, do not say where they lie; name them with --real" in err
    assert pictures(scored / "run1" / "report.html") == []
    sides = ("--real", scored / "real", "--synthetic", scored / "syn", "--train", scored / "train")
    code, _, err = synth("report", path, *sides)  # scores.json itself will do
    assert (code, err) == (0, "")
    page = scored / "run1" / "report.html"
    assert shown(page, "real image") == {"real"}
    assert shown(page, "training image ") == {"train"}


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (("nowhere",), 1, "no scores.json in or beside the run"),
        (("real",), 1, "no scores.json in or beside the run"),
        (("run1", "--real", "nowhere"), 1, "no such folder"),
        (("run1", "--synthetic", "run1"), 1, "no images to score"),
    ],
)
def test_wrong_inputs_are_one_line(synth, scored, monkeypatch, change, code, said):
    monkeypatch.chdir(scored)
    found, out, err = synth("report", *change)
    assert (found, out) == (code, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not (scored / "run1" / "report.html").exists()


def test_a_folder_that_is_not_there_does_not_take_the_scores_beside_it(synth, scored, monkeypatch):
    monkeypatch.chdir(scored / "run1")
    assert synth("report", "misspelt")[0] == 1
