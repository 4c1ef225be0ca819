"""Images against texts: what is aligned is found, what is not is at chance, and intervals hold."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats

from metrics import image_text_alignment
from metrics.arrays import Floats
from metrics.matched_auc import AMONG_ALL, WITHIN
from metrics.pairs import pairs
from metrics.records import Record
from metrics.retrieval import chances, recalls
from synth.errors import SynthError

NAMES = {
    *("cosine", "matched_auc"),
    *("report_to_image_r1", "report_to_image_r5", "image_to_report_r1", "image_to_report_r5"),
}


def drawn(seed: int, *, patients: int = 60, each: int = 1, noise: float = 1.0) -> dict[str, Any]:
    """Pairs whose text lies around the patient, and whose image around the text."""
    rng = np.random.default_rng(seed)
    size = patients * each
    patient = np.repeat(rng.normal(size=(patients, 8)), each, axis=0)
    texts = 0.7 * patient + rng.normal(size=(size, 8))
    images = texts + noise * rng.normal(size=(size, 8))
    labels = np.repeat(rng.integers(0, 2, size=(patients, 1)), each, axis=0).astype(float)
    groups = [str(index) for index in np.repeat(np.arange(patients), each)]
    return {"images": images, "texts": texts, "groups": groups, "labels": labels}


def scored(given: dict[str, Any], **more: Any) -> dict[str, Record]:
    found = image_text_alignment(**given, **more)
    assert not found.missing
    return dict(found.records)


def values(records: dict[str, Record]) -> dict[str, float]:
    return {name: float(record.value or 0.0) for name, record in records.items()}


def test_identical_embeddings_are_perfect() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 8))
    found = scored({"images": rows, "texts": 3.0 * rows})  # length does not matter
    assert set(found) == NAMES
    assert all(value == pytest.approx(1.0) for value in values(found).values())
    assert found["cosine"].ci is None
    assert "all units say the same" in found["cosine"].note
    one = found["image_to_report_r1"]
    assert one.ci is not None
    assert one.ci[0] < 0.95  # 40 of 40 does not prove 1
    assert one.ci[1] == 1.0


def test_the_more_pairs_are_swapped_the_lower_every_number() -> None:
    given = drawn(1, patients=80, noise=0.5)
    found = []
    for swapped in (0, 20, 40, 80):
        texts = given["texts"].copy()
        texts[:swapped] = np.roll(texts[:swapped], 1, axis=0)
        found.append(values(scored({**given, "texts": texts})))
    for better, worse in pairwise(found):
        assert all(better[name] > worse[name] for name in NAMES)


def test_random_texts_are_at_chance() -> None:
    outside = dict.fromkeys(NAMES, 0)
    for seed in range(40):
        given = drawn(seed, patients=40)
        given["texts"] = np.random.default_rng(1000 + seed).normal(size=given["texts"].shape)
        for name, record in scored(given).items():
            chance = record.details.get("chance", 0.0)
            assert record.ci is not None
            outside[name] += not record.ci[0] <= chance <= record.ci[1]
    assert max(outside.values()) <= 6  # of 40 at 5 %: more would have 0.3 % probability


@pytest.mark.parametrize("delta", [0.0, 0.5, 1.5])
def test_matched_auc_of_gaussian_pairs_is_its_closed_form(delta: float) -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(300, 300)) + delta * np.eye(300)
    # Images whose features are the scores themselves, against texts along the axes.
    record = image_text_alignment(images=scores, texts=np.eye(300)).records["matched_auc"]
    truth = float(stats.norm.cdf(delta / np.sqrt(2)))
    assert record.ci is not None
    assert record.ci[0] < truth < record.ci[1]
    assert record.value == pytest.approx(truth, abs=0.03)


@pytest.mark.parametrize("each", [1, 2])
def test_intervals_cover(each: int) -> None:
    trials = [scored(drawn(seed, patients=40 // each, each=each), seed=seed) for seed in range(50)]
    for name in NAMES:
        truth = np.mean([trial[name].value for trial in trials])
        shown = [ci for trial in trials if (ci := trial[name].ci) is not None]
        covered = sum(low <= truth <= high for low, high in shown)
        assert len(shown) == 50
        assert covered >= 44, (name, covered)  # at 95 %: fewer would have 0.4 % probability


def test_several_pairs_of_a_patient_are_not_as_many_patients() -> None:
    given = drawn(3, patients=20, each=5)
    given["images"] = given["texts"] + np.repeat(  # images of one patient are alike good
        np.random.default_rng(4).uniform(0.2, 3.0, size=(20, 1)), 5, axis=0
    ) * np.random.default_rng(5).normal(size=(100, 8))
    alone = scored({**given, "groups": None})["cosine"]
    grouped = scored(given)["cosine"]
    assert grouped.value == alone.value
    assert (grouped.se or 0.0) > 1.3 * (alone.se or 0.0)
    assert grouped.details["units"] == 20


def test_a_repeated_text_is_one_target() -> None:
    rng = np.random.default_rng(5)
    texts = np.repeat(rng.normal(size=(15, 8)), 4, axis=0)
    words = [f"text {index}" for index in np.repeat(np.arange(15), 4)]
    images = texts + 0.05 * rng.normal(size=texts.shape)
    for given in ({"words": words}, {}):  # by the words, and by equal features
        found = scored({"images": images, "texts": texts, **given})
        assert values(found)["image_to_report_r1"] == 1.0
        assert values(found)["report_to_image_r1"] == 1.0
        assert found["image_to_report_r1"].details["texts"] == 15
        assert found["image_to_report_r1"].details["chance"] == pytest.approx(1 / 15)
        assert found["report_to_image_r1"].details["chance"] == pytest.approx(4 / 60)
    apart = scored({"images": images, "texts": texts, "words": [str(n) for n in range(60)]})
    assert values(apart)["image_to_report_r1"] == pytest.approx(1 / 4)  # four ties: one in four


def brute_recalls(cosines: Floats, own: np.ndarray, rank: int) -> tuple[float, float]:
    """Sort and look, for scores without ties."""
    by_image = [own[n] in np.argsort(-row)[:rank] for n, row in enumerate(cosines)]
    by_text = [own[n] in own[np.argsort(-cosines[:, own[n]])[:rank]] for n in range(len(own))]
    return float(np.mean(by_image)), float(np.mean(by_text))


def test_recalls_equal_sorting_and_chance_equals_its_mean() -> None:
    rng = np.random.default_rng(6)
    own = np.array([0, 0, 0, 1, 2, 3, 3, 4, 5, 6, 7, 8])
    total: dict[str, list[float]] = {}
    for _ in range(400):
        cosines = rng.normal(size=(12, 9))
        found = recalls(cosines, own)
        for rank in (1, 5):
            image, text = brute_recalls(cosines, own, rank)
            assert found[f"image_to_report_r{rank}"] == pytest.approx(image)
            assert found[f"report_to_image_r{rank}"] == pytest.approx(text)
        for name, value in found.items():
            total.setdefault(name, []).append(value)
    for name, value in chances(own).items():
        assert np.mean(total[name]) == pytest.approx(value, abs=0.03)
    flat = recalls(np.zeros((12, 9)), own)  # all alike: chance, not perfection
    assert flat == pytest.approx(chances(own))


def test_mismatches_are_of_the_same_findings() -> None:
    """A model that sees the finding and nothing else is at chance within it, and not among all."""
    rng = np.random.default_rng(7)
    labels = np.repeat([[1.0, 0.0], [0.0, 1.0]], 40, axis=0)
    both = labels @ rng.normal(size=(2, 8)) * 3
    images, texts = (both + rng.normal(size=(80, 8)) for _ in range(2))
    within = scored({"images": images, "texts": texts, "labels": labels})["matched_auc"]
    among = scored({"images": images, "texts": texts})["matched_auc"]
    assert within.details["mismatches"] == WITHIN
    assert among.details["mismatches"] == AMONG_ALL
    assert within.ci is not None
    assert within.ci[0] < 0.5 < within.ci[1]
    assert among.ci is not None
    assert among.ci[0] > 0.6
    assert "which is easier" in among.note


def test_without_a_second_patient_of_the_same_findings_it_says_so() -> None:
    given = drawn(8, patients=12)
    alone = np.eye(12)
    record = scored({**given, "labels": alone})["matched_auc"]
    assert record.details["mismatches"] == AMONG_ALL
    assert "no two patients" in record.note
    unknown = np.full((12, 2), np.nan)
    unknown[:6] = given["labels"][:6]
    record = scored({**given, "labels": unknown})["matched_auc"]
    assert record.details["images_compared"] <= 6  # of the others no finding is known


def test_texts_of_the_same_patient_are_no_mismatches() -> None:
    given = drawn(9, patients=12, each=2)
    given["texts"][1::2] = given["texts"][::2] + 1e-6  # reports of one patient, nearly alike
    record = scored(given)["matched_auc"]
    apart = scored({**given, "groups": None})["matched_auc"]
    assert (record.value or 0.0) > (apart.value or 0.0) + 0.01


def test_real_pairs_are_the_ceiling_at_equal_galleries() -> None:
    real = drawn(10, patients=30)
    made = drawn(11, patients=60, noise=4.0)
    del made["groups"]
    found = scored(made, real=pairs(**real))
    alone = scored(real)
    for name, record in found.items():
        assert record.floor is not None
        assert record.floor.value == pytest.approx(alone[name].value, abs=1e-12)
        assert record.details["difference"] < 0
        assert (record.n_real, record.n_synthetic) == (30, 60)
    r5 = found["image_to_report_r5"]
    assert r5.details["gallery"] == 60
    assert r5.floor is not None
    assert r5.floor.n == 30
    assert r5.floor.synthetic_at_same_n is not None
    assert r5.floor.synthetic_at_same_n > (r5.value or 0.0)  # fewer to be found among
    assert r5.details["difference"] == r5.floor.synthetic_at_same_n - r5.floor.value
    assert found["cosine"].details["p"] < 1e-6
    same = scored(drawn(12, patients=60), real=pairs(**drawn(13, patients=60)))
    assert same["cosine"].details["p"] > 0.01


def test_small_sets_have_values_and_no_intervals() -> None:
    found = image_text_alignment(**drawn(14, patients=6))
    assert found.records["cosine"].ci is None
    assert "6 independent units, 10 are needed" in found.records["cosine"].note
    assert "too few different texts" in found.missing["retrieval"]
    few = image_text_alignment(**drawn(15, patients=9, each=2))  # 18 texts, nine patients
    assert {record.ci for record in few.records.values()} == {None}
    assert not few.missing
    two = image_text_alignment(images=np.eye(2), texts=np.eye(2))
    assert two.records["cosine"].value == 1.0
    alike = image_text_alignment(images=np.eye(12), texts=np.ones((12, 12)))
    assert set(alike.missing) == {"retrieval", "matched_auc"}


def test_the_seed_and_the_arrays_decide() -> None:
    given = drawn(16, patients=40)
    assert values(scored(given, seed=3)) == values(scored(given, seed=3))
    tensors = {**given, "images": given["images"].astype(np.float32)}
    assert values(scored(tensors)) == pytest.approx(values(scored(given)), abs=1e-5)


def test_large_sets_are_searched_in_part() -> None:
    given = drawn(17, patients=1100)
    found = scored(given)
    assert found["cosine"].n_synthetic == 1100
    assert found["image_to_report_r1"].n_synthetic == 1000
    assert found["image_to_report_r1"].details["chance"] == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"texts": np.ones((59, 8))}, "not pairs of one space"),
        ({"texts": np.ones((60, 7))}, "not pairs of one space"),
        ({"texts": np.zeros((60, 8))}, "vector of zeros"),
        ({"images": np.full((60, 8), np.nan)}, "NaN"),
        ({"images": np.ones(8)}, "must be a matrix"),
        ({"words": ["a"]}, "one text a pair"),
        ({"labels": np.ones((59, 1))}, "one row of labels a pair"),
        ({"groups": ["a"]}, "one group a row"),
    ],
)
def test_wrong_inputs_are_refused(change: dict[str, Any], match: str) -> None:
    with pytest.raises(SynthError, match=match):
        image_text_alignment(**{**drawn(0), **change})
