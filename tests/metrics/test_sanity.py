"""The sanity table: what each metric must not react to, what it must follow, and what it must not.

Closed forms and hand cases stand in the metric's own test file; here are the properties that no
other file holds.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from PIL import Image
from planted_findings import sides
from scipy import stats

from metrics import (
    authenticity,
    copy_rate,
    data_copying,
    mifid,
    nearest_neighbour_auc,
    vendi_score,
)
from metrics.distances import distance_records
from metrics.extractor_check import DAMAGES
from metrics.finding_auroc import finding_table
from metrics.frechet import frechet_distance, frechet_estimate
from metrics.groups import Sides
from metrics.kernel import kernel_distance
from metrics.memorization import memorization
from metrics.moments import frechet_of_moments, streamed_moments
from metrics.per_finding import per_finding
from metrics.prdc import prdc
from synth.extractors.base import in_batches
from synth.extractors.random_conv import RandomConvExtractor
from synth.images import fit_square

Floats = NDArray[np.float64]


# ------------------------------------------------------------------------------ distances


@pytest.fixture(scope="module")
def squares() -> torch.Tensor:
    """Sixty textured images of 64 pixels, uint8 [60, 1, 64, 64]."""
    stream, images = RandomState(0), []
    for _ in range(60):
        coarse = Image.fromarray(stream.rand(6, 6).astype(np.float32))
        smooth = np.asarray(coarse.resize((64, 64), Image.Resampling.BICUBIC)).clip(0, 1)
        images.append((255 * (0.1 + 0.6 * smooth) + 12 * stream.randn(64, 64)).clip(0, 255))
    return torch.from_numpy(np.stack(images).round().astype(np.uint8))[:, None]


def _compressed(squares: torch.Tensor, severity: int) -> torch.Tensor:
    """JPEG of ever lower quality."""
    images = []
    for square in squares[:, 0].numpy():
        held = io.BytesIO()
        Image.fromarray(square).save(held, "JPEG", quality=(100, 70, 45, 25, 12)[severity])
        images.append(np.asarray(Image.open(held)))
    return torch.from_numpy(np.stack(images))[:, None]


@pytest.mark.parametrize("damage", [*DAMAGES, "JPEG"])
@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_distances_grow_with_every_damage(
    distance: Callable[..., float], damage: str, squares: torch.Tensor
) -> None:
    extractor = RandomConvExtractor()
    clean = in_batches(extractor, squares).numpy()
    values = []
    for severity in range(5):
        harm = DAMAGES.get(damage, _compressed)
        harmed = harm(squares, severity) if severity else squares
        values.append(distance(real=clean, synthetic=in_batches(extractor, harmed).numpy()))
    assert values[0] <= 1e-6  # a kernel distance of equal sets is below zero
    assert (np.diff(values) > 0).all(), values


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_distances_grow_with_every_dropped_mode(distance: Callable[..., float]) -> None:
    stream = RandomState(1)
    kinds = 4 * np.eye(5, 8)
    real, made = (np.repeat(kinds, 60, axis=0) + stream.randn(300, 8) for _ in range(2))
    left = [made[: 60 * (5 - dropped)] for dropped in range(5)]
    values = [distance(real=real, synthetic=rows) for rows in left]
    assert (np.diff(values) > 0).all(), values


def test_order_of_rows_and_batches_does_not_matter() -> None:
    stream = RandomState(2)
    one, two = stream.randn(400, 6), 1.2 * stream.randn(300, 6)
    plain = frechet_of_moments(real=streamed_moments([one]), synthetic=streamed_moments([two]))
    shuffled = one[stream.permutation(400)]
    batches = [shuffled[start : start + 37] for start in range(0, 400, 37)][::-1]
    found = frechet_of_moments(real=streamed_moments(batches), synthetic=streamed_moments([two]))
    assert found == pytest.approx(plain, rel=1e-12)


def test_invariances_hold_to_twelve_digits() -> None:
    stream = RandomState(3)
    one, two = stream.randn(200, 16), 1.3 * stream.randn(180, 16) + 0.2
    plain = frechet_distance(real=one, synthetic=two)
    turned, _ = np.linalg.qr(stream.randn(16, 16))
    for found in (
        frechet_distance(real=one + 5, synthetic=two + 5),
        frechet_distance(real=one @ turned, synthetic=two @ turned),
        frechet_distance(real=one[::-1], synthetic=two),
        frechet_distance(real=two, synthetic=one),
        frechet_distance(real=7 * one, synthetic=7 * two) / 49,
    ):
        assert found == pytest.approx(plain, rel=1e-12)


def test_labels_do_not_move_the_distance_of_all_images_and_do_move_a_findings() -> None:
    given = sides(0)
    order = RandomState(4).permutation(len(given.synthetic))
    mixed = given.synthetic.labels[order]
    shuffled = Sides(
        given.real,
        replace(given.synthetic, labels=mixed),
        given.real_features,
        given.synthetic_features,
        given.facts,
    )
    one, two = (
        distance_records(s.real_features, s.synthetic_features, facts=s.facts, k=5, seed=0)[0]
        for s in (given, shuffled)
    )
    assert one == two
    honest, found = per_finding(given)[0], per_finding(shuffled)[0]
    assert all((scores.p_holm or 0) > 0.05 for scores in honest.values())
    assert sum((scores.p_holm or 0) < 0.05 for scores in found.values()) >= 3


def test_the_plug_in_lies_outside_the_bias_reduced_interval() -> None:
    stream = RandomState(5)
    one, two = stream.randn(640, 64), stream.randn(640, 64)
    found = frechet_estimate(real=one, synthetic=two)
    assert found.ci is not None
    assert found.ci[0] < 0 < found.ci[1]
    assert frechet_distance(real=one, synthetic=two) > found.ci[1]


def test_heavy_tails_at_four_rows_a_dimension_never_have_a_clean_interval() -> None:
    for seed in range(5):
        stream = RandomState(seed)
        rows = stream.randn(2, 256, 64) * np.sqrt(5 / stream.chisquare(5, size=(2, 256, 1)))
        found = frechet_estimate(real=rows[0], synthetic=rows[1], seed=seed)
        assert found.ci is None
        assert "withheld" in found.note


# ------------------------------------------------------------------------------ shares, diversity


def test_density_of_equal_distributions_is_one() -> None:
    found = [
        prdc(real=stream.randn(200, 4), synthetic=stream.randn(200, 4))["density"]
        for stream in map(RandomState, range(20))
    ]
    assert abs(np.mean(found) - 1.0) < 3 * np.std(found, ddof=1) / np.sqrt(20)


def test_dropped_modes_cost_recall_and_coverage_step_by_step_and_no_precision() -> None:
    stream = RandomState(6)
    kinds = np.repeat(20 * np.eye(5), 60, axis=0)
    real, made = kinds + stream.randn(300, 5), kinds + stream.randn(300, 5)
    found = [prdc(real=real, synthetic=made[: 60 * left]) for left in (5, 4, 3, 2, 1)]
    for name in ("recall", "coverage"):
        assert (np.diff([one[name] for one in found]) < -0.1).all()  # type: ignore[literal-required]
    assert min(one["precision"] for one in found) > 0.85


def test_vendi_follows_kinds_and_ignores_copies() -> None:
    kinds = np.eye(9)
    scores = [
        vendi_score(synthetic=np.repeat(kinds[:n], 4, axis=0)).value or 0 for n in range(1, 9)
    ]
    assert (np.diff(scores) > 0.9).all()
    copied = vendi_score(synthetic=np.repeat(kinds[:5], 40, axis=0)).value
    assert copied == pytest.approx(scores[4], rel=1e-12)


# ------------------------------------------------------------------------------ memorization


def _sets(seed: int) -> dict[str, Floats]:
    train, heldout, synthetic = RandomState(seed).randn(3, 250, 8)
    return {"train": train, "heldout": heldout, "synthetic": synthetic}


def test_real_images_of_new_people_are_not_called_copies() -> None:
    """Held-out real images in the place of synthetic ones: every measure stands at its null."""
    found = authenticity(**_sets(0))
    assert found.ci is not None
    assert found.ci[0] < 0 < found.ci[1]
    near = nearest_neighbour_auc(**_sets(0), permutations=99)
    assert near.ci is not None
    assert near.ci[0] < 0.5 < near.ci[1]
    assert near.details["p"] > 0.02
    assert data_copying(**_sets(0), permutations=99).details["p"] > 0.02
    rate = copy_rate(**_sets(0))
    assert rate.ci is not None
    assert rate.ci[0] < 0.05 < rate.ci[1]


def test_far_images_are_not_called_copies() -> None:
    sets = _sets(1)
    far = sets | {"synthetic": 4 * sets["synthetic"] + 3}
    assert (authenticity(**far).value or 0) > 0
    assert nearest_neighbour_auc(**far, permutations=99).details["p"] > 0.02
    assert (data_copying(**far, permutations=99).value or 0) > 0
    assert mifid(train=far["train"], synthetic=far["synthetic"], real=far["heldout"]).value
    found = memorization(train=far["train"], held_out=far["heldout"], synthetic=far["synthetic"])
    assert found.auc.value < 0.1
    assert found.share_closer.value == 0.0


# ------------------------------------------------------------------------------ label fidelity


def _planted(seed: int, gap: float = 1.5, count: int = 2000) -> tuple[Floats, Floats]:
    """Labels and the scores of a judge whose AUROC is Φ(gap / √2)."""
    stream = RandomState(seed)
    labels = (np.arange(count) % 2).astype(float)
    return labels, gap * labels + stream.randn(count)


def _area(labels: Floats, scores: Floats) -> Any:
    return finding_table(scores[:, None], labels[:, None], ("spot",))["spot"]


def test_a_planted_judge_has_its_known_area() -> None:
    labels, scores = _planted(0)
    row = _area(labels, scores)
    truth = stats.norm.cdf(1.5 / np.sqrt(2))
    assert row["auroc"] == pytest.approx(truth, abs=0.02)
    assert row["ci"][0] < truth < row["ci"][1]
    order = RandomState(1).permutation(len(labels))
    assert _area(labels[order], scores[order])["auroc"] == pytest.approx(row["auroc"], rel=1e-12)


def test_flipped_labels_lower_the_area_step_by_step_to_a_half() -> None:
    labels, scores = _planted(2)
    flips = RandomState(3).rand(len(labels))
    areas = [
        _area(np.where(flips < share, 1 - labels, labels), scores)["auroc"]
        for share in (0, 0.1, 0.2, 0.3, 0.4, 0.5)
    ]
    assert (np.diff(areas) < -0.02).all()
    assert areas[-1] == pytest.approx(0.5, abs=0.04)
    for share, area in zip((0.1, 0.3), (areas[1], areas[3]), strict=True):
        assert area == pytest.approx(0.5 + (areas[0] - 0.5) * (1 - 2 * share), abs=0.03)


def test_shuffled_labels_are_chance() -> None:
    labels, scores = _planted(4, count=400)
    stream = RandomState(5)
    rows = [_area(labels[stream.permutation(400)], scores) for _ in range(40)]
    areas = np.array([row["auroc"] for row in rows])
    assert abs(areas.mean() - 0.5) < 3 * areas.std(ddof=1) / np.sqrt(40)
    assert sum(row["ci"][0] < 0.5 < row["ci"][1] for row in rows) >= 34


# ------------------------------------------------------------------------------ ingestion


@pytest.mark.parametrize(("height", "width"), [(40, 40), (100, 100), (7, 7)])
@pytest.mark.parametrize("level", [0.0, 0.25, 1.0])
def test_a_constant_square_stays_constant(level: float, height: int, width: int) -> None:
    found = fit_square(np.full((height, width), level, np.float32), 32)
    assert found.shape == (32, 32)
    assert found == pytest.approx(np.full((32, 32), level), abs=1e-6)


def test_one_channel_is_three_equal_ones(squares: torch.Tensor) -> None:
    extractor = RandomConvExtractor()
    grey = in_batches(extractor, squares[:8])
    colour = in_batches(extractor, squares[:8].repeat(1, 3, 1, 1))
    assert torch.allclose(grey, colour, rtol=1e-5, atol=1e-6)
