"""One way through, whatever the images come in, and only new images computed."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metrics.chosen import ALL, USUAL, Choices, metric_names
from metrics.extract import features_of, store_of
from metrics.ingest import open_images, take
from metrics.markdown import scores_markdown
from metrics.moments import moments_of
from metrics.run import evaluate
from metrics.statistics import image_moments, merged_moments
from synth.config.schema import MetricsSection, UtilitySection
from synth.data.images_in import Reading
from synth.errors import SynthError, UsageError
from synth.extractors.network import network_extractor
from synth.extractors.pixel import PixelExtractor
from synth.extractors.preprocess import Preprocess

QUICK = MetricsSection(
    bootstrap=20,
    classifier_steps=3,
    image_size=32,
    utility=UtilitySection(steps=2, seeds=1, batch=8),
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """real, made and train: 24 16-bit images each of 40 × 30 pixels."""
    root = tmp_path_factory.mktemp("folders")
    rng = np.random.default_rng(0)
    for name in ("real", "made", "train"):
        (root / name).mkdir()
        for index in range(24):
            coarse = rng.random((5, 4)).astype(np.float32)
            smooth = np.asarray(Image.fromarray(coarse).resize((30, 40), Image.Resampling.BILINEAR))
            levels = np.clip(smooth * 65535, 0, 65535).round().astype(np.uint16)
            Image.fromarray(levels).save(root / name / f"{index:02d}.png")
    return root


def packed(folder: Path, path: Path) -> Path:
    with tarfile.open(path, "w") as tar:
        for file in sorted(folder.iterdir()):
            member = tarfile.TarInfo(file.name)
            content = file.read_bytes()
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


class Counting:
    """A network that counts the images it sees."""

    def __init__(self) -> None:
        self.seen = 0
        self.extractor = network_extractor(
            "mean",
            "mean",
            self.run,
            weights_sha256="00" * 32,
            preprocess=Preprocess(8, channels=1),
            output="mean",
        )
        self.seen = 0

    def run(self, pixels: torch.Tensor) -> torch.Tensor:
        self.seen += len(pixels)
        return pixels.flatten(1)[:, ::8]


def test_an_archive_scores_as_its_folder(folders: Path, tmp_path: Path) -> None:
    archive = packed(folders / "made", tmp_path / "made.tar")
    choices = Choices(metrics=("kd", "prdc"), extractors=("pixel",))
    plain, tarred = (
        evaluate(real=folders / "real", synthetic=made, settings=QUICK, choices=choices)
        for made in (folders / "made", archive)
    )
    assert plain.metrics == tarred.metrics
    assert set(plain.metrics) == {"kd_pixel", "precision", "recall", "density", "coverage"}


def test_every_metric_or_the_reason(folders: Path) -> None:
    scores = evaluate(
        real=folders / "real",
        synthetic=folders / "made",
        train=folders / "train",
        settings=QUICK,
        choices=Choices(metrics=ALL[:-1], extractors=("pixel", "random-conv")),
    ).to_json()
    why = {item["what"]: item["why"] for item in scores["not_computed"]}
    assert "label fidelity" in why
    assert "utility" in why
    assert "fewer images than dimensions" in why["mifid"]
    for name in ("mmd", "c2st", "vendi", "authenticity", "nn-auc", "copy-rate"):
        assert {name, f"{name}_random-conv"} <= set(scores["metrics"]), name
    for name, record in scores["metrics"].items():
        assert record["extractor"].startswith(("pixel@16", "random-conv")) or name == "texture"
        assert record["preprocessing"], name
        assert record["fingerprint"], name
        assert record["versions"]["numpy"], name
        assert record["n_real"] > 0, name
    assert scores["metrics"]["vendi"]["extractor"] == "pixel@16"
    assert json.loads(json.dumps(scores)) == scores


def test_diversity_in_pixels_within_findings(tiny_dataset: Path) -> None:
    assert ALL[-1] == "ms-ssim"
    scores = evaluate(
        real=tiny_dataset,
        synthetic=tiny_dataset,
        settings=QUICK,
        choices=Choices(metrics=("ms-ssim",)),
    ).to_json()
    record = scores["metrics"]["ms-ssim"]
    assert record["preprocessing"] == "8-bit squares of 32 px"
    assert record["extractor"] == ""
    assert record["fingerprint"]
    assert set(scores["metrics"]) == {"ms-ssim"}


def test_without_training_images_it_says_so(folders: Path) -> None:
    scores = evaluate(
        real=folders / "real",
        synthetic=folders / "made",
        settings=QUICK,
        choices=Choices(metrics=("memorization", "nn-auc", "label-fidelity")),
    )
    why = {item.what: item.why for item in scores.not_computed}
    assert why == dict.fromkeys(
        ("memorization", "nn-auc", "label fidelity"), "no training images: give --train"
    )
    assert scores.metrics == {}


def test_the_reference_set_is_no_training_set(folders: Path, tiny_dataset: Path) -> None:
    asked = Choices(metrics=("memorization", "nn-auc", "utility"), extractors=("pixel",))
    real = folders / "real"
    for train in (real, folders / "made" / ".." / "real"):
        scores = evaluate(
            real=real, synthetic=folders / "made", train=train, settings=QUICK, choices=asked
        )
        why = {item.what: item.why for item in scores.not_computed}
        assert set(why) == set(asked.metrics)
        for reason in why.values():
            assert reason.startswith(f"--train is the reference set itself, {real}")
    plain = tiny_dataset.parent / "plain"
    shutil.copytree(tiny_dataset, plain)
    table = plain / "metadata.jsonl"
    table.write_text(table.read_text().replace('"train"', '"test"'))
    scores = evaluate(real=plain, synthetic=folders / "made", settings=QUICK, choices=asked)
    assert {item.why for item in scores.not_computed} == {
        f"{plain} has no training split beside a held-out one: give --train"
    }


def test_what_was_not_asked_for_is_no_want_of_labels(folders: Path) -> None:
    scores = evaluate(
        real=folders / "real",
        synthetic=folders / "made",
        settings=QUICK,
        choices=Choices(metrics=("kd",)),
    )
    assert scores.not_computed == ()
    lines = {line["topic"]: line["why"] for line in scores.verdict["lines"]}
    assert set(lines.values()) == {"it was not asked for"}
    assert scores.verdict["headline"].startswith("No fault was found, but these scores do not say")


def test_a_judge_that_cannot_be_fitted_is_said_of_what_rests_on_it(folders: Path) -> None:
    for asked in (("label-fidelity",), ("utility",), ("label-fidelity", "utility")):
        scores = evaluate(
            real=folders / "real",
            synthetic=folders / "made",
            train=folders / "train",
            settings=QUICK,
            choices=Choices(metrics=asked),
        )
        why = {item.what: item.why for item in scores.not_computed}
        assert set(why) == {name.replace("-", " ") for name in asked}
        assert all(reason.startswith("no labels on the training images") for reason in why.values())
        topics = {"label-fidelity": "labels", "utility": "usefulness"}
        said = {line["topic"]: line["why"] for line in scores.verdict["lines"]}
        for name, topic in topics.items():
            expected = why.get(name.replace("-", " "), "it was not asked for")
            assert said[topic] == expected


def test_unreadable_files_of_every_role_are_counted(folders: Path, tmp_path: Path) -> None:
    for name in ("real", "made", "train"):
        shutil.copytree(folders / name, tmp_path / name)
    shutil.copytree(folders / "made", tmp_path / "before")
    for count, name in enumerate(("real", "made", "train", "before"), start=1):
        for index in range(count):
            (tmp_path / name / f"bad{index}.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    scores = evaluate(
        real=tmp_path / "real",
        synthetic=tmp_path / "made",
        train=tmp_path / "train",
        before=tmp_path / "before",
        settings=QUICK,
        choices=Choices(metrics=("kd",), extractors=("pixel",)),
    )
    for count, name in enumerate(("real", "made", "train", "before"), start=1):
        start = f"{count} unreadable files left out of {tmp_path / name}, first: bad0.png"
        assert len([text for text in scores.warnings if text.startswith(start)]) == 1


def test_unreadable_files_beside_saved_statistics_are_counted(
    folders: Path, tmp_path: Path
) -> None:
    choices = Choices(extractors=("pixel",))
    image_moments(folders / "real", choices=choices).save(tmp_path / "real.npz")
    made = tmp_path / "made"
    shutil.copytree(folders / "made", made)
    (made / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    scores = evaluate(real=tmp_path / "real.npz", synthetic=made, settings=QUICK, choices=choices)
    assert any(text.startswith("1 unreadable files left out") for text in scores.warnings)


def test_names_of_metrics() -> None:
    assert metric_names(["fd,KD", "nn_auc"]) == ("fd", "kd", "nn-auc")
    assert metric_names(["usual"]) == USUAL
    assert metric_names(["all", "fd"]) == ALL
    assert metric_names([]) == ()
    with pytest.raises(UsageError, match="Did you mean `vendi`"):
        metric_names(["vendy"])


def test_the_same_extractor_twice_is_refused(folders: Path) -> None:
    choices = Choices(extractors=("pixel", "pixel"))
    with pytest.raises(UsageError, match="twice"):
        evaluate(real=folders / "real", synthetic=folders / "made", settings=QUICK, choices=choices)


def test_networks_read_files_at_their_own_depth(folders: Path) -> None:
    images = open_images(folders / "real", 16)
    network = Counting().extractor
    direct = network.embed(network.preprocess.fit([picture.grey() for picture in images.pictures]))
    np.testing.assert_array_equal(features_of(network, images).values, direct.numpy())
    squares = network(images.image_u8).numpy()
    assert np.abs(squares - direct.numpy()).max() > 1e-3  # 16-pixel squares are not the files


def test_only_new_images_are_computed(folders: Path, tmp_path: Path) -> None:
    counting, folder = Counting(), tmp_path / "images"
    folder.mkdir()
    for file in sorted((folders / "real").iterdir())[:10]:
        shutil.copy(file, folder)
    first = features_of(counting.extractor, open_images(folder, 16), store=tmp_path / "store")
    assert counting.seen == 10
    for file in sorted((folders / "real").iterdir())[10:]:
        shutil.copy(file, folder)
    shutil.copy(folder / "00.png", folder / "again.png")  # another name, the same content
    images = open_images(folder, 16)
    second = features_of(counting.extractor, images, store=tmp_path / "store")
    assert counting.seen == 24
    np.testing.assert_array_equal(second.values[:10], first.values)
    np.testing.assert_array_equal(second.values[-1], second.values[0])
    np.testing.assert_array_equal(second.values, features_of(counting.extractor, images).values)


def test_another_range_is_not_taken_from_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    levels = np.random.default_rng(0).integers(0, 4096, (8, 8)).astype(np.uint16)
    Image.fromarray(levels).save(folder / "a.png")
    network, store = Counting().extractor, tmp_path / "store"
    dark, right = (
        features_of(network, open_images(folder, 8, reading=reading), store=store).values
        for reading in (Reading(), Reading(white=4095))
    )
    np.testing.assert_allclose(right, dark * (65535 / 4095), rtol=1e-5)


def test_stored_squares_are_the_features_without_a_store(folders: Path, tmp_path: Path) -> None:
    images = open_images(folders / "real", 16)
    extractor = PixelExtractor(8)
    plain = features_of(extractor, images).values
    for _ in range(2):
        kept = features_of(extractor, images, store=tmp_path).values
        np.testing.assert_array_equal(kept, plain)
    assert len(store_of(extractor, images, tmp_path)) == 24


def test_shards_made_apart_merge_to_one_store(folders: Path, tmp_path: Path) -> None:
    images, network = open_images(folders / "real", 16), Counting().extractor
    for name, part in (("a", range(12)), ("b", range(12, 24))):
        features_of(network, take(images, part), store=tmp_path / name)
    merged = store_of(network, images, tmp_path / "a")
    assert merged.merge(store_of(network, images, tmp_path / "b")) == 12
    counting = Counting()
    features_of(counting.extractor, images, store=tmp_path / "a")
    assert counting.seen == 0


def test_statistics_of_shards_equal_those_of_all(folders: Path, tmp_path: Path) -> None:
    files = sorted((folders / "real").iterdir())
    choices = Choices(extractors=("pixel",))
    for name, part in (("a", files[:7]), ("b", files[7:])):
        (tmp_path / name).mkdir()
        for file in part:
            shutil.copy(file, tmp_path / name)
        image_moments(tmp_path / name, choices=choices).save(tmp_path / f"{name}.npz")
    merged = merged_moments([tmp_path / "a.npz", tmp_path / "b.npz"])
    whole = image_moments(folders / "real", choices=choices)
    assert (merged.n, merged.extractor) == (24, "pixel@16")
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(merged.covariance, whole.covariance, rtol=1e-9, atol=1e-12)


def test_images_against_saved_statistics(folders: Path, tmp_path: Path) -> None:
    choices = Choices(extractors=("pixel",))
    saved = image_moments(folders / "real", choices=choices)
    saved.save(tmp_path / "real.npz")
    scores = evaluate(
        real=tmp_path / "real.npz",
        synthetic=folders / "made",
        settings=QUICK,
        choices=choices,
        out=tmp_path / "out",
    )
    both = evaluate(
        real=folders / "real", synthetic=folders / "made", settings=QUICK, choices=choices
    )
    record = scores.metrics["fd_pixel"]
    assert record.ci is None
    assert (record.n_real, record.n_synthetic) == (24, 24)
    assert "mostly bias" in record.note
    assert {"kd", "prdc", "utility"} <= {item.what for item in scores.not_computed}
    assert "fd_pixel" not in both.metrics  # 24 images are too few for 256 features
    written = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert written["protocol"]["fingerprint"]


def test_other_tools_statistics(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        rows = rng.normal(size=(50, 3)) + (name == "b")
        np.savez(tmp_path / f"{name}.npz", mu=rows.mean(0), sigma=np.cov(rows.T))
    scores = evaluate(
        real=tmp_path / "a.npz", synthetic=tmp_path / "b.npz", settings=QUICK, choices=Choices()
    )
    record = scores.metrics["fd"]
    assert record.value == pytest.approx(3.0, abs=1.5)
    assert record.n_real is None
    assert "n of real and synthetic is not known, so neither" in record.note
    assert "| – / – |" in scores_markdown(scores.to_json())
    assert "does not say which extractor" in scores.warnings[0]


def test_statistics_that_do_not_fit_are_refused(folders: Path, tmp_path: Path) -> None:
    moments_of(np.eye(4), extractor="other@1").save(tmp_path / "other.npz")
    made = folders / "made"
    with pytest.raises(SynthError, match=r"other@1 \[4\] and pixel@16 \[256\]"):
        evaluate(
            real=tmp_path / "other.npz",
            synthetic=made,
            settings=QUICK,
            choices=Choices(extractors=("pixel",)),
        )
    with pytest.raises(UsageError, match="Name it with --extractor"):
        evaluate(real=tmp_path / "other.npz", synthetic=made, settings=QUICK)
    with pytest.raises(SynthError, match="no such file"):
        evaluate(
            real=tmp_path / "none.npz",
            synthetic=made,
            settings=QUICK,
            choices=Choices(extractors=("pixel",)),
        )
