from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metrics.finding_auroc import finding_table, macro_columns
from metrics.ingest import ImageSet, from_folder, open_images
from metrics.label_fidelity import label_fidelity
from metrics.memorization import memorization, nearest_distance
from metrics.reconstruction import psnr
from metrics.run import evaluate
from metrics.utility import downstream_utility, refuse_leak
from synth.config.schema import MetricsSection, UtilitySection
from synth.errors import SynthError
from synth.extractors.classifier import fit_classifier
from synth.manifest import open_dataset

QUICK = MetricsSection(
    bootstrap=50,
    classifier_steps=5,
    image_size=32,
    utility=UtilitySection(steps=3, seeds=1, batch=8),
)


def bright_or_dark(count: int, *, seed: int, prefix: str, flip: float = 0.0) -> ImageSet:
    """Images whose upper half is bright where "spot" is present; labels wrong with chance flip."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % 2
    images = rng.integers(0, 90, size=(count, 1, 32, 32), dtype=np.uint8)
    images[truth == 1, :, :16] += 120
    labels = np.where(rng.random(count) < flip, 1 - truth, truth).astype(float)
    names = tuple(f"{prefix}{i}" for i in range(count))
    return ImageSet(
        Path(prefix), names, names, torch.from_numpy(images), names, ("spot",), labels[:, None]
    )


def test_every_part_on_a_prepared_dataset(tmp_path: Path, tiny_dataset: Path) -> None:
    scores = evaluate(
        real=tiny_dataset, synthetic=tiny_dataset, settings=QUICK, out=tmp_path
    ).to_json()
    assert json.loads((tmp_path / "scores.json").read_text()) == json.loads(json.dumps(scores))
    assert "kd_random-conv" in scores["metrics"]
    assert scores["metrics"]["kd_random-conv"]["n_synthetic"] == 24
    assert {"what": "reconstruction", "why": "no weights named"} in scores["not_computed"]
    trained = len(open_dataset(tiny_dataset).split("train")) / 24  # at distance 0; the rest ties
    assert scores["memorization"]["auc"]["value"] == pytest.approx(trained + (1 - trained) / 2)
    assert scores["memorization"]["pairs"][0]["distance"] == 0.0


def test_test_images_among_the_synthetic_ones_are_warned_of(tiny_dataset: Path) -> None:
    scores = evaluate(real=tiny_dataset, synthetic=tiny_dataset, settings=QUICK)
    assert any("are among the training images" in text for text in scores.warnings)


def test_a_training_set_of_its_own_needs_no_held_out_split(
    tmp_path: Path, tiny_dataset: Path
) -> None:
    train = tmp_path / "train"
    shutil.copytree(tiny_dataset, train)
    table = train / "metadata.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    kept = [row for row in rows if row["split"] == "train"]
    table.write_text("".join(json.dumps(row) + "\n" for row in kept))
    scores = evaluate(real=tiny_dataset, synthetic=tiny_dataset, train=train, settings=QUICK)
    assert scores.memorization is not None
    assert scores.memorization["n_train"] == len(kept)


def test_two_plain_folders_and_what_cannot_be_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index in range(12):
            Image.fromarray(rng.integers(0, 256, (40, 30), dtype=np.uint8)).save(
                tmp_path / name / f"{index}.png"
            )
    (tmp_path / "a" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    scores = evaluate(real=tmp_path / "a", synthetic=tmp_path / "b", settings=QUICK)
    assert scores.metrics["kd_random-conv"].n_real == 12
    assert scores.label_fidelity is None
    why = {missing.what: missing.why for missing in scores.not_computed}
    assert "label fidelity" in why
    assert "memorization" in why
    assert any("1 unreadable" in warning for warning in scores.warnings)


def test_the_same_integers_give_the_same_scores(tiny_dataset: Path) -> None:
    first, second = (
        evaluate(real=tiny_dataset, synthetic=tiny_dataset, settings=QUICK).to_json()
        for _ in range(2)
    )
    for scores in (first, second):
        scores["provenance"].pop("seconds")
    assert first == second


def test_the_terms_of_the_data_are_in_the_scores(tiny_dataset: Path, tmp_path: Path) -> None:
    evaluate(real=tiny_dataset, synthetic=tiny_dataset, settings=QUICK, out=tmp_path)
    recorded = json.loads((tmp_path / "scores.json").read_text())["provenance"]
    assert recorded["terms"] == ["made by the tests"]
    assert [source["licence"] for source in recorded["sources"]] == ["CC-BY-NC-4.0"]


def test_no_folder_and_no_images_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(SynthError, match="no such folder"):
        from_folder(tmp_path / "absent", 32)
    with pytest.raises(SynthError, match="no images to score"):
        from_folder(tmp_path, 32)


def test_16_bit_images_are_not_white(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    images = open_images(tmp_path, 64).image_u8
    assert images.float().mean() == pytest.approx(127.5, abs=1)
    assert len(images.unique()) > 200


def test_label_fidelity_finds_what_is_shown_and_falls_with_wrong_labels() -> None:
    train = bright_or_dark(64, seed=0, prefix="t")
    judge = fit_classifier(
        train.image_u8, train.labels, findings=("spot",), steps=40, batch=16, image_size=32
    )
    held = bright_or_dark(40, seed=1, prefix="h")
    right = label_fidelity(judge, synthetic=bright_or_dark(40, seed=2, prefix="s"), real=held)
    wrong = label_fidelity(
        judge, synthetic=bright_or_dark(40, seed=2, prefix="s", flip=0.4), real=held
    )
    assert right["findings"]["spot"]["auroc"] > 0.98
    assert right["macro"]["real_auroc"] > 0.98
    assert wrong["macro"]["auroc"] < right["macro"]["auroc"] - 0.15


def test_uncertain_and_unstated_labels_are_left_out() -> None:
    scores = np.array([[0.9], [0.8], [0.1], [0.2], [0.99], [0.0]])
    labels = np.array([[1.0], [1.0], [0.0], [0.0], [np.nan], [np.nan]])
    row = finding_table(scores, labels, ("spot",))["spot"]
    assert (row["auroc"], row["n_positive"], row["n_negative"]) == (1.0, 2, 2)
    assert macro_columns(labels) == []


def test_copies_are_found_and_new_images_are_not() -> None:
    rng = np.random.default_rng(0)
    train, held = rng.normal(size=(300, 8)), rng.normal(size=(200, 8))
    fresh = memorization(train=train, held_out=held, synthetic=rng.normal(size=(200, 8)))
    assert fresh.auc.ci is not None
    assert fresh.auc.ci[0] < 0.5 < fresh.auc.ci[1]
    copies = memorization(train=train, held_out=held, synthetic=train[:100])
    assert copies.auc.value == 1.0
    assert copies.share_closer.value == 1.0
    assert np.array_equal(copies.nearest, np.arange(100))
    half = np.r_[train[:100], rng.normal(size=(100, 8))]
    mixed = memorization(train=train, held_out=held, synthetic=half)
    assert fresh.auc.value < mixed.auc.value < copies.auc.value


def test_nearest_distance_is_exact_far_from_the_origin() -> None:
    rng = np.random.default_rng(1)
    points, among = rng.normal(size=(50, 4)) + 1e4, rng.normal(size=(60, 4)) + 1e4
    distance, index = nearest_distance(points, among)
    brute = np.linalg.norm(points[:, None] - among[None], axis=2)
    np.testing.assert_allclose(distance, brute.min(axis=1), rtol=1e-9)
    assert np.array_equal(index, brute.argmin(axis=1))


def test_useful_images_help_and_wrong_ones_do_not() -> None:
    settings = UtilitySection(steps=30, seeds=1, batch=16)
    few = bright_or_dark(4, seed=0, prefix="t", flip=0.0)
    test = bright_or_dark(60, seed=1, prefix="h")
    found = {
        flip: downstream_utility(
            real=few,
            synthetic=bright_or_dark(60, seed=2, prefix="s", flip=flip),
            test=test,
            findings=("spot",),
            settings=settings,
            image_size=32,
            resamples=50,
        )["arms"]
        for flip in (0.0, 1.0)
    }
    assert found[0.0]["synthetic"]["macro_auroc"] > 0.95
    assert found[1.0]["synthetic"]["macro_auroc"] < 0.05  # every label turned round
    assert found[0.0]["real"] == found[1.0]["real"]
    assert found[0.0]["real+synthetic"]["n_train"] == 64
    assert found[0.0]["real"]["delta"] == 0.0


def test_a_test_patient_among_the_training_images_stops_it() -> None:
    train = bright_or_dark(8, seed=0, prefix="t")
    test = bright_or_dark(8, seed=1, prefix="h")
    refuse_leak(train, test)
    leaked = replace(test, groups=("t3", *test.names[1:]))
    with pytest.raises(SynthError, match="1 shared patients"):
        refuse_leak(train, leaked)


def test_a_leaking_dataset_is_refused_by_evaluate(tmp_path: Path, tiny_dataset: Path) -> None:
    leaking = tmp_path / "leaking"
    shutil.copytree(tiny_dataset, leaking)
    table = leaking / "metadata.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    for row in rows:
        row["patient_id"] = "same"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SynthError, match="test patients are among the training images"):
        evaluate(real=leaking, synthetic=tiny_dataset, settings=QUICK)


def test_psnr_of_known_errors() -> None:
    one = torch.full((2, 1, 4, 4), 100, dtype=torch.uint8)
    two = one.clone()
    two[1] += 10
    np.testing.assert_allclose(psnr(one, two), [100.0, 20 * np.log10(25.5)])
