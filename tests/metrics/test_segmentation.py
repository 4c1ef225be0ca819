"""Discs with known masks: useful and useless ones, empty ones, equal steps, leaks, wrong files."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from metrics import segmentation
from metrics.chosen import USUAL, Choices
from metrics.compare import compare
from metrics.ingest import ImageSet, open_images
from metrics.masks import Masked, masked, with_masks
from metrics.run import evaluate
from metrics.segmentation import overlaps, segmentation_utility
from metrics.segmentation_network import dice_and_entropy, fit_segmenter
from metrics.utility_arms import Labelled, altered
from metrics.utility_means import against, resampling, spread_of_means
from synth.cli.scores import score_tables
from synth.config.schema import MetricsSection, SegmentationSection
from synth.errors import SynthError
from synth.images import fit_square, fit_square_mask, save_png
from synth.manifest import Row, append_jsonl
from synth.masks import mask_name

SIDE = 32
QUICK = SegmentationSection(steps=24, seeds=1, batch=8, early_stopping=False)


def discs(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Noise with one brighter disc; every sixth image has none."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    centre, radius = rng.uniform(9, SIDE - 9, (count, 2)), rng.uniform(3, 7, count)
    inside = (y - centre[:, :1, None]) ** 2 + (x - centre[:, 1:, None]) ** 2 < (
        radius[:, None, None] ** 2
    )
    inside[::6] = False
    grey = rng.integers(0, 110, (count, SIDE, SIDE)) + 70 * inside
    return grey.astype(np.uint8), inside


def written(
    folder: Path,
    count: int,
    seed: int,
    *,
    split: str = "train",
    synthetic: bool = False,
    masks: NDArray[np.bool_] | None = None,
) -> Path:
    """A dataset of discs, two images a patient."""
    grey, inside = discs(count, seed)
    inside = inside if masks is None else masks
    rows = []
    for index in range(count):
        name = f"{folder.name}-{index}"
        save_png(folder / f"images/{name}.png", grey[index])
        save_png(folder / f"masks/{name}.png", inside[index].astype(np.uint8) * 255)
        rows.append(
            {
                "file_name": f"images/{name}.png",
                "mask_file_name": f"masks/{name}.png",
                "sample_id": name,
                "split": split,
                "patient_id": None if synthetic else f"{folder.name}-p{index // 2}",
            }
        )
    append_jsonl(folder / "metadata.jsonl", rows)
    return folder


def sets(root: Path, **changes: Any) -> dict[str, ImageSet]:
    made = {"count": 36, "seed": 2, "synthetic": True} | changes
    folders = {
        "real": written(root / "real", 36, 0),
        "synthetic": written(root / "made", **made),
        "test": written(root / "test", 30, 1, split="test"),
    }
    return {side: open_images(folder, SIDE) for side, folder in folders.items()}


def utility(held: dict[str, ImageSet], settings: SegmentationSection = QUICK, **more: Any) -> Any:
    return segmentation_utility(settings=settings, image_size=SIDE, resamples=100, **(held | more))


def test_discs_are_found_and_useless_masks_lower_dice(tmp_path: Path) -> None:
    held = sets(tmp_path)
    elsewhere = np.roll(discs(36, 3)[1], SIDE // 2, axis=(1, 2))  # never on a disc
    wrong = open_images(written(tmp_path / "wrong", 36, 3, synthetic=True, masks=elsewhere), SIDE)
    good = utility(held)
    only = QUICK.model_copy(update={"arms": ("synthetic",)})
    bad = utility(held, only, synthetic=wrong)["arms"]
    for arm in good["arms"].values():
        assert arm["dice"]["value"] > 0.6
        assert arm["dice"]["ci"][0] < arm["dice"]["value"] < arm["dice"]["ci"][1]
    assert bad["synthetic"]["dice"]["value"] < 0.4
    assert bad["synthetic"]["dice"]["delta_ci"][1] < 0.0
    assert bad["real"] == good["arms"]["real"]
    assert good["arms"]["real"]["dice"]["delta_ci"] == [0.0, 0.0]
    assert (good["n_test"], good["n_test_empty"], good["n_test_patients"]) == (30, 5, 15)
    json.dumps(good)


def test_the_same_integers_give_the_same_numbers(tmp_path: Path) -> None:
    held = sets(tmp_path)
    few = SegmentationSection(steps=6, seeds=1, batch=4, arms=("real",))
    one, two, other = (utility(held, few, seed=seed) for seed in (0, 0, 1))
    assert one == two
    assert one["arms"]["real"]["dice"]["value"] != other["arms"]["real"]["dice"]["value"]


def test_every_arm_takes_the_same_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []

    def counted(data: Masked, **options: Any) -> Any:
        calls.append((options["steps"], options["seed"]))
        return fit_segmenter(data, **(options | {"steps": 1}))

    monkeypatch.setattr(segmentation, "fit_segmenter", counted)
    arms = ("real", "real+synthetic", "synthetic", "synthetic-then-real", "real+augmented")
    settings = SegmentationSection(steps=11, seeds=2, batch=4, arms=arms, alphas=(0.25, 9.0))
    found = utility(sets(tmp_path), settings)
    assert found["early_stopping"]
    assert len(found["arms"]) == 6
    assert {arm["steps"] for arm in found["arms"].values()} == {11}
    assert sum(steps for steps, _ in calls) == 6 * 2 * 11
    assert {seed for _, seed in calls} == {0, 1}
    n_real = found["n_real"]
    assert found["n_validation"] + n_real == 36
    assert found["arms"]["real+augmented"]["n_train"] == n_real + 36
    assert list(found["not_trained"]) == ["real+9x synthetic"]


def test_early_stopping_can_be_off_and_the_validation_split_never_judges(tmp_path: Path) -> None:
    held = sets(tmp_path)
    off = SegmentationSection(steps=2, seeds=1, batch=4, arms=("real",), early_stopping=False)
    assert (utility(held, off)["n_validation"], utility(held, off)["n_real"]) == (0, 36)
    folder, rows = tmp_path / "held", []
    for split, count, seed in (("val", 12, 8), ("test", 30, 9)):
        part = written(tmp_path / f"part-{split}", count, seed, split=split)
        for text in (part / "metadata.jsonl").read_text().splitlines():
            row = json.loads(text)
            for name in ("file_name", "mask_file_name"):
                (folder / row[name]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(part / row[name], folder / row[name])
            rows.append(row)
    append_jsonl(folder / "metadata.jsonl", rows)
    on = off.model_copy(update={"early_stopping": True})
    found = utility(held, on, test=open_images(folder, SIDE))
    assert (found["validation"], found["n_validation"], found["n_test"]) == (
        *("validation split", 12, 30),
    )


def test_overlap_by_hand() -> None:
    truth = torch.zeros(4, 1, 4, 4, dtype=torch.bool)
    truth[0, 0, :2] = True  # 8 pixels
    truth[1, 0, 0, 0] = True
    shown = torch.zeros_like(truth)
    shown[0, 0, 1:3] = True  # 8, of which 4 are right
    shown[3, 0, 3, 3] = True  # a false alarm in an image with an empty mask
    found = overlaps(shown, truth)
    np.testing.assert_array_equal(found["dice"], [0.5, 0.0, np.nan, np.nan])
    np.testing.assert_array_equal(found["sensitivity"], [0.5, 0.0, np.nan, np.nan])
    np.testing.assert_array_equal(found["false_alarms"], [np.nan, np.nan, 0.0, 1.0])


def test_the_loss_by_hand() -> None:
    target = torch.zeros(1, 1, 2, 2)
    target[0, 0, 0, 0] = 1.0
    logits = torch.zeros(1, 1, 2, 2)  # one half everywhere
    expected = 1 - (2 * 0.5 + 1) / (4 * 0.25 + 1 + 1) + np.log(2)
    assert float(dice_and_entropy(logits, target)) == pytest.approx(expected)
    assert float(dice_and_entropy(40 * (2 * target - 1), target)) == pytest.approx(0.0, abs=1e-6)


def test_means_are_resampled_over_patients_and_withheld_for_few() -> None:
    values = np.array([0.2, 0.4, np.nan, 0.9] * 5)
    patients = [f"p{index // 2}" for index in range(20)]
    how = resampling(20, patients, seeds=2, resamples=2000, seed=0)
    found = spread_of_means([values, values + 0.1], how)
    assert found.value == pytest.approx(0.55)
    assert found.patients == 10
    assert np.nanmean(found.draws) == pytest.approx(0.55, abs=0.01)
    one = spread_of_means([values, values], resampling(20, None, seeds=2, resamples=2000, seed=0))
    # Patients 0.3 and 0.9 alternate: between them the spread is wider than between images.
    assert np.nanstd(spread_of_means([values, values], how).draws) > 1.05 * np.nanstd(one.draws)
    few = spread_of_means([values[:6]], resampling(6, patients[:6], seeds=1, resamples=50, seed=0))
    entry = against(few, few)
    assert (entry["ci"], entry["note"]) == (None, "interval withheld: 3 patients")
    assert entry["value"] == pytest.approx(values[[0, 1, 3, 4, 5]].mean())


def test_a_mask_is_padded_as_its_image_and_takes_nearest_pixels(tmp_path: Path) -> None:
    inside = np.zeros((20, 40), dtype=bool)
    inside[5:15, 8:30] = True
    square = fit_square_mask(inside, 40)
    assert square.sum() == inside.sum()
    assert np.array_equal(square, fit_square(inside.astype(np.float32), 40) > 0.5)
    small = fit_square_mask(inside, 10)
    assert small.dtype == np.bool_
    assert abs(small.mean() - square.mean()) < 0.05
    folder = tmp_path / "wide"
    save_png(folder / "images/a.png", np.full((20, 40), 9, dtype=np.uint8))
    save_png(folder / "masks/a.png", inside.astype(np.uint8))
    row = {"file_name": "images/a.png", "mask_file_name": "masks/a.png"}
    append_jsonl(folder / "metadata.jsonl", [row | {"sample_id": "a", "split": "test"}])
    found = masked(with_masks(open_images(folder, 20)))
    assert np.array_equal(found.masks[0, 0].numpy(), fit_square_mask(inside, 20))


def test_altered_masks_follow_their_images() -> None:
    grey, inside = discs(30, 5)
    solid = (inside * 255).astype(np.uint8)[:, None]
    data = Masked(torch.from_numpy(solid), torch.from_numpy(inside)[:, None])
    moved = altered(data, 40, flips=True, seed=3)
    agree = ((moved.images > 100) == moved.masks).float().mean()
    assert agree > 0.98
    assert not torch.equal(moved.masks[:30], data.masks)
    labelled = Labelled(torch.from_numpy(solid), np.zeros((30, 1)))
    assert torch.equal(altered(labelled, 40, flips=True, seed=3).images, moved.images)
    assert grey.shape == (30, SIDE, SIDE)


def test_leaks_and_sets_without_masks_are_refused(tmp_path: Path) -> None:
    held = sets(tmp_path)
    made = replace(held["synthetic"], sources=frozenset({"test-3"}))
    with pytest.raises(SynthError, match="test source reports"):
        utility(held, synthetic=made)
    table = tmp_path / "made" / "metadata.jsonl"
    lines = [json.loads(text) for text in table.read_text().splitlines()]
    table.write_text("".join(json.dumps(row | {"mask_file_name": None}) + "\n" for row in lines))
    with pytest.raises(SynthError, match=r"made: no masks .*rows with `mask_file_name`"):
        utility(held, synthetic=open_images(tmp_path / "made", SIDE))
    nothing = np.zeros((36, SIDE, SIDE), dtype=bool)
    empty = written(tmp_path / "empty", 36, 3, synthetic=True, masks=nothing)
    with pytest.raises(SynthError, match="every mask is empty"):
        utility(held, synthetic=open_images(empty, SIDE))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.unlink(), "the mask is missing"),
        (lambda path: Image.new("L", (16, 32)).save(path), "not of its image's size"),
        (lambda path: Image.new("RGB", (32, 32)).save(path), "not one channel"),
        (lambda path: Image.new("L", (32, 32)).save(path, "JPEG"), "not a PNG"),
        (lambda path: Image.new("L", (32, 32), 255).save(path), "no outside"),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "cannot be decoded"),
    ],
)
def test_a_wrong_mask_is_an_error(tmp_path: Path, spoil: Any, problem: str) -> None:
    folder = written(tmp_path / "real", 6, 0)
    spoil(folder / "masks" / "real-3.png")
    with pytest.raises(SynthError, match=problem):
        masked(with_masks(open_images(folder, SIDE)))


def test_masks_of_one_bit_and_of_sixteen_are_read(tmp_path: Path) -> None:
    folder = written(tmp_path / "real", 6, 0)
    before = masked(with_masks(open_images(folder, SIDE))).masks
    inside = discs(6, 0)[1]
    Image.fromarray(inside[1]).save(folder / "masks/real-1.png")
    save_png(folder / "masks/real-2.png", inside[2].astype(np.uint16) * 3)
    assert torch.equal(masked(with_masks(open_images(folder, SIDE))).masks, before)
    with pytest.raises(SynthError, match="do not fit the images"):
        Masked(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.zeros(1, 1, 4, 4))


def test_segmentation_is_in_the_scores_where_it_is_asked_for(tmp_path: Path) -> None:
    sets(tmp_path)
    settings = MetricsSection(
        bootstrap=30,
        image_size=SIDE,
        segmentation=SegmentationSection(steps=2, seeds=1, batch=4),
    )
    paths = {"real": tmp_path / "test", "synthetic": tmp_path / "made", "train": tmp_path / "real"}
    asked = Choices(metrics=("segmentation",), extractors=("pixel",))
    scores = evaluate(settings=settings, choices=asked, **paths).to_json()
    assert "segmentation" not in USUAL
    assert scores["metrics"] == {}
    assert scores["protocol"]["records"]["segmentation"]["settings"]["steps"] == 2
    titles = [str(getattr(shown, "title", "")) for shown in score_tables(scores)]
    assert "Segmentation utility, on real test patients" in titles
    rows = {row.name: row for row in compare(scores, scores).rows}
    assert rows["segmentation.synthetic.dice"].difference == 0.0
    plain = evaluate(
        real=paths["real"] / "images",
        synthetic=paths["synthetic"],
        train=paths["train"],
        settings=settings,
        choices=asked,
    )
    (why,) = [held.why for held in plain.not_computed if held.what == "segmentation"]
    assert "no masks" in why


def test_a_row_that_names_no_text_is_an_error() -> None:
    row = Row.model_validate(
        {"file_name": "a.png", "sample_id": "a", "split": "test", "mask_file_name": 3}
    )
    with pytest.raises(SynthError, match="is not a file name"):
        mask_name(row)
