"""The probe where the truth is known, its guards, and where it is shown."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm

from metrics.chosen import USUAL, Choices
from metrics.compare import compare
from metrics.ingest import ImageSet
from metrics.probe import Examples, linear_probe, probe_utility
from metrics.probe_choice import choose, cross_entropy
from metrics.run import evaluate
from synth.cli.scores import score_tables
from synth.config.schema import MetricsSection, ProbeSection
from synth.errors import SynthError, UsageError
from synth.extractors.classifier import fit_classifier
from synth.extractors.pixel import PixelExtractor

WIDE = (("real", 400, 0), ("test", 2000, 1), ("validation", 200, 2))
GAP = 1.5  # between the two classes' means, in standard deviations


def two_gaussians(
    n: int, seed: int, *, gap: float = GAP, flip: bool = False, dim: int = 5
) -> Examples:
    """Two normal classes that differ along the first axis; the best AUROC is Φ(gap / √2)."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    values = rng.normal(size=(n, dim))
    values[:, 0] += gap * truth
    labels = ((1 - truth) if flip else truth).astype(float)[:, None]
    return Examples(values, labels, tuple(f"{seed}-{i // 2}" for i in range(n)))


def probe(synthetic: Examples, settings: ProbeSection | None = None, **changes: Any) -> Any:
    sides = {
        "real": two_gaussians(400, 0),
        "test": two_gaussians(2000, 1),
        "validation": two_gaussians(200, 2),
    }
    return linear_probe(
        synthetic=synthetic,
        findings=("spot",),
        settings=settings or ProbeSection(),
        resamples=200,
        **(sides | changes),
    )


def test_two_gaussian_classes_reach_the_area_that_theory_gives() -> None:
    found = probe(two_gaussians(400, 3))["arms"]
    truth = norm.cdf(GAP / math.sqrt(2))
    for arm in found.values():
        assert arm["macro_auroc"] == pytest.approx(truth, abs=0.02)
        assert arm["ci"][0] < truth < arm["ci"][1]
    low, high = found["synthetic"]["delta_ci"]  # the same law: nothing gained, nothing lost
    assert low < 0.0 < high
    assert high - low < found["synthetic"]["ci"][1] - found["synthetic"]["ci"][0]  # paired
    assert found["synthetic"]["recovered"] == pytest.approx(1.0, abs=0.05)


def test_flipped_labels_fall_below_chance_and_noise_does_not_help() -> None:
    flipped = probe(two_gaussians(400, 3, flip=True))["arms"]
    assert flipped["synthetic"]["macro_auroc"] < 0.2
    assert flipped["synthetic"]["findings"]["spot"]["p_holm"] < 1e-6
    assert flipped["real"] == probe(two_gaussians(400, 3))["arms"]["real"]
    sides = {name: two_gaussians(n, seed, dim=40) for name, n, seed in WIDE}
    useless = two_gaussians(400, 3, gap=0.0, dim=40)
    noise = probe(useless, ProbeSection(alphas=(0.25, 0.5, 1.0)), **sides)["arms"]
    assert abs(noise["synthetic"]["macro_auroc"] - 0.5) < 0.2  # a direction at random
    for name, arm in noise.items():
        assert arm["delta"] <= 0.0, name


def test_useful_images_help_where_real_ones_are_few() -> None:
    few = {"real": two_gaussians(12, 0, dim=40), "test": two_gaussians(800, 1, dim=40)}
    few["validation"] = two_gaussians(100, 2, dim=40)
    found = probe(two_gaussians(600, 3, dim=40), **few)
    assert found["arms"]["real+synthetic"]["delta_ci"][0] > 0.0
    assert [point["arm"] for point in found["curve"]] == ["real", "real+synthetic"]


def test_every_arm_searches_the_same_strengths_on_validation_patients() -> None:
    settings = ProbeSection(strengths=(1e-3, 1.0), alphas=(0.5, 2.0))
    found = probe(two_gaussians(400, 3), settings)
    assert {arm["strength"] for arm in found["arms"].values()} <= {1e-3, 1.0}
    assert list(found["arms"]) == ["real", "real+0.5x synthetic", "real+synthetic", "synthetic"]
    assert found["not_trained"] == {
        "real+2x synthetic": "needs 800 synthetic images, there are 400"
    }
    sizes = [arm["n_train"] for arm in found["arms"].values()]
    assert sizes == [400, 600, 800, 400]


def test_the_choice_is_by_cross_entropy_whatever_the_prevalence() -> None:
    truth = np.array([[1.0], [0.0], [0.0], [np.nan]])
    by_hand = -np.log([[1 / 3], [2 / 3], [2 / 3]])
    np.testing.assert_allclose(cross_entropy(np.zeros((4, 1)), truth)[:3], by_hand)
    assert np.isnan(cross_entropy(np.zeros((4, 1)), truth)[3, 0])
    rng = np.random.default_rng(0)
    labels = (rng.random((60, 2)) < 0.3).astype(float)
    right, noise = 3.0 * labels + rng.normal(size=(60, 2)), 3.0 * rng.normal(size=(60, 2))
    shifted = cross_entropy(right + 7.0, labels)  # a set that shows both findings too often
    np.testing.assert_allclose(shifted, cross_entropy(right, labels), atol=1e-8)
    patients = [f"p{index // 3}" for index in range(60)]
    found = choose([noise, right + 7.0], labels, patients, resamples=200, seed=0)
    assert (found.best, set(found.resampled.tolist())) == (1, {1})
    equal = choose([right, right, right], labels, None, resamples=50, seed=0)
    assert (equal.best, equal.resampled.max()) == (0, 0)
    other = 3.0 * labels + rng.normal(size=(60, 2))  # as good, on other images
    doubtful = choose([right, other], labels, None, resamples=400, seed=0)
    assert 0.02 < (doubtful.resampled != doubtful.best).mean() < 0.98
    with pytest.raises(SynthError, match="no finding is seen present and absent"):
        choose([right], np.ones((60, 2)), None, resamples=10, seed=0)


def hidden(n: int, seed: int) -> Examples:
    """The finding under something eight times as strong, which a second feature shows alone."""
    clear = two_gaussians(n, seed, dim=1)
    over = 8.0 * np.random.default_rng(seed + 100).normal(size=(n, 1))
    return replace(clear, features=np.hstack([clear.features + over, over]))


def test_intervals_hold_the_luck_of_the_choice() -> None:
    # What hides the finding can be subtracted, but only where the penalty is weak.
    sides = {name: hidden(n, seed) for name, n, seed in WIDE} | {"validation": hidden(14, 11)}
    made = hidden(60, 3)
    searched = probe(made, ProbeSection(strengths=(1e-4, 10.0)), **sides)["arms"]["real"]
    assert 0.0 < searched["strength_certainty"] < 1.0
    alone = [
        probe(made, ProbeSection(strengths=(strength,)), **sides)["arms"]["real"]
        for strength in (1e-4, 10.0)
    ]
    low, high = searched["ci"]
    assert high - low > 1.2 * max(arm["ci"][1] - arm["ci"][0] for arm in alone)
    assert searched["macro_auroc"] in [arm["macro_auroc"] for arm in alone]
    assert all(arm["strength_certainty"] == 1.0 for arm in alone)


def test_a_finding_that_an_arm_never_sees_is_named_and_at_chance() -> None:
    made = two_gaussians(60, 3)
    blind = Examples(made.features, np.zeros_like(made.labels))
    arm = probe(blind)["arms"]["synthetic"]
    assert (arm["one_sided"], arm["macro_auroc"]) == (["spot"], 0.5)


def test_the_same_integers_give_the_same_numbers() -> None:
    made, settings = two_gaussians(100, 3), ProbeSection(alphas=(0.1,))
    one, two, other = (probe(made, settings, seed=seed) for seed in (0, 0, 1))
    assert one == two
    share = "real+0.1x synthetic"
    assert one["arms"][share]["macro_auroc"] != other["arms"][share]["macro_auroc"]
    json.dumps(one)


def test_wrong_inputs() -> None:
    made = two_gaussians(60, 3)
    with pytest.raises(SynthError, match="different dimensions"):
        probe(two_gaussians(60, 3, dim=4))
    with pytest.raises(SynthError, match="labels do not fit"):
        probe(Examples(made.features, made.labels[:9]))
    with pytest.raises(SynthError, match="NaN or infinite"):
        probe(Examples(np.full_like(made.features, np.nan), made.labels))
    with pytest.raises(UsageError, match="no real validation patients"):
        probe(made, validation=None)
    alone = probe(made, ProbeSection(strengths=(0.1,)), validation=None)
    assert alone["arms"]["real"]["strength"] == 0.1
    with pytest.raises(ValueError, match="at least 1 item"):
        ProbeSection(strengths=())


def bright(prefix: str, seed: int, count: int = 60) -> ImageSet:
    truth = np.arange(count) % 2
    images = np.random.default_rng(seed).integers(0, 130, (count, 1, 32, 32), dtype=np.uint8)
    images[truth == 1, :, :16] += 30
    names = tuple(f"{prefix}{index}" for index in range(count))
    labels = truth.astype(np.float64)[:, None]
    return ImageSet(Path(prefix), names, names, torch.from_numpy(images), names, ("spot",), labels)


def of_images(**changes: Any) -> Any:
    sides = {"real": bright("t", 0), "synthetic": bright("s", 1), "test": bright("h", 2)}
    common = {"extractor": PixelExtractor(8), "settings": ProbeSection(), "resamples": 100}
    return probe_utility(findings=("spot",), **(common | sides | changes))


def test_image_sets_say_what_they_were_judged_by() -> None:
    found = of_images()
    assert (found["kind"], found["extractor"]) == ("probe", PixelExtractor(8).id)
    assert found["validation"] == "15 % of the training patients"
    assert found["n_real"] + found["n_validation"] == 60
    assert found["arms"]["real"]["macro_auroc"] > 0.9


def test_leaks_are_refused() -> None:
    test = bright("h", 2)
    with pytest.raises(SynthError, match="test source reports"):
        of_images(synthetic=replace(bright("s", 1), groups=None, sources=frozenset({"h5"})))
    with pytest.raises(SynthError, match="test patients"):
        of_images(test=replace(test, groups=("t3", *test.names[1:])))
    train = bright("t", 0)
    judge = fit_classifier(
        train.image_u8, train.labels, findings=("spot",), steps=1, batch=4, image_size=32
    )
    with pytest.raises(SynthError, match="would teach them to every arm"):
        of_images(extractor=judge)


PROBE = Choices(metrics=("probe",))


def scored(real: Path, synthetic: Path, choices: Choices = PROBE, **settings: Any) -> Any:
    section = MetricsSection(bootstrap=30, image_size=32, classifier_steps=2, **settings)
    return evaluate(real=real, synthetic=synthetic, settings=section, choices=choices).to_json()


def test_the_probe_is_in_the_scores_under_a_name_of_its_own(
    tiny_dataset: Path, planted: Path
) -> None:
    assert "probe" in USUAL
    scores = scored(tiny_dataset, planted)
    assert scores["utility"] is None
    assert scores["probe"]["extractor"].startswith("random-conv")  # auto is not the judge here
    assert scores["protocol"]["records"]["probe"]["settings"]["alphas"] == []
    assert len(scores["probe"]["fingerprint"]) == 16
    titles = [str(getattr(shown, "title", "")) for shown in score_tables(scores)]
    (title,) = [text for text in titles if text.startswith("Probe")]
    assert "logistic regression on frozen random-conv" in title
    arm = {"macro_auroc": 0.8, "ci": [0.7, 0.9]}  # six test images have no macro AUROC
    scores["probe"]["arms"]["synthetic"] = arm
    rows = {row.name for row in compare(scores, scores).rows}
    assert "probe.synthetic.macro_auroc" in rows
    assert not any(name.startswith("utility") for name in rows)


def test_probes_of_other_settings_do_not_compare(tiny_dataset: Path, planted: Path) -> None:
    one = scored(tiny_dataset, planted)
    two = scored(tiny_dataset, planted, probe=ProbeSection(strengths=(0.1, 1.0)))
    assert one["probe"]["fingerprint"] != two["probe"]["fingerprint"]
    with pytest.raises(SynthError, match=r"records.probe.settings.strengths"):
        compare(one, two)


def test_why_there_is_no_probe(tiny_dataset: Path, planted: Path) -> None:
    off = scored(tiny_dataset, planted, probe=None)
    assert {"what": "probe", "why": "metrics.probe is null"} in off["not_computed"]
    leaking = scored(tiny_dataset, tiny_dataset)
    (why,) = [held["why"] for held in leaking["not_computed"] if held["what"] == "probe"]
    assert "are among the training images" in why
    images = scored(tiny_dataset / "images", planted)
    assert {"what": "probe", "why": "no training images: give --train"} in images["not_computed"]


@pytest.fixture
def planted(tmp_path: Path, tiny_dataset: Path) -> Path:
    """The training rows as a synthetic set: other pixels, no origin."""
    from synth.images import load_grey, save_png

    folder = tmp_path / "made"
    lines = []
    for text in (tiny_dataset / "metadata.jsonl").read_text().splitlines():
        row = json.loads(text)
        if row["split"] != "train":
            continue
        grey = (load_grey(tiny_dataset / row["file_name"]) * 255).round().astype(np.uint8)
        save_png(folder / row["file_name"], 255 - grey // 2)
        for name in ("patient_id", "study_id", "sha256"):
            row.pop(name)
        lines.append(json.dumps(row | {"sample_id": f"syn-{row['sample_id']}"}) + "\n")
    (folder / "metadata.jsonl").write_text("".join(lines))
    return folder
