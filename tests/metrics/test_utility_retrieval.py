"""Planted pairs are found, shuffled ones are not; ranks, chance and loss by hand; guards."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from metrics import utility_retrieval as retrieval
from metrics.chosen import USUAL, Choices
from metrics.compare import compare
from metrics.ingest import ImageSet, open_images
from metrics.retrieval_network import fit_retriever, info_nce
from metrics.retrieval_ranks import chance, gallery_of, ranks
from metrics.run import evaluate
from metrics.utility_means import resampling, spread_of_medians, weighted_medians
from metrics.utility_pairs import (
    Pairs,
    Vocabulary,
    pairs,
    plain,
    terms_of,
    vocabulary_of,
    with_texts,
)
from metrics.utility_retrieval import retrieval_utility
from synth.cli.diff import markdown
from synth.cli.scores import score_tables
from synth.config.schema import MetricsSection, RetrievalSection
from synth.data.images_in import Picture
from synth.errors import SynthError
from synth.images import save_png
from synth.manifest import Row, append_jsonl

SIDE = 32
QUARTERS = ("left upper", "right upper", "left lower", "right lower")
QUICK = RetrievalSection(steps=80, seeds=1, batch=16)


def planted(count: int, seed: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Noise with bright quarters, and the report that names them: 16 different ones."""
    rng = np.random.default_rng(seed)
    seen = rng.integers(0, 2, (count, 4)).astype(bool)
    images = rng.integers(0, 120, (count, SIDE, SIDE))
    half = SIDE // 2
    for quarter in range(4):
        top, left = half * (quarter // 2), half * (quarter % 2)
        images[:, top : top + half, left : left + half] += 80 * seen[:, quarter, None, None]
    said = [
        [f"{'' if on else 'no '}opacity {QUARTERS[at]}" for at, on in enumerate(r)] for r in seen
    ]
    texts = ["; ".join(sentences) for sentences in said]
    return images.astype(np.uint8), texts


def image_set(
    prefix: str, count: int, seed: int, *, split: str = "train", texts: list[str] | None = None
) -> ImageSet:
    images, reports = planted(count, seed)
    names = tuple(f"{prefix}{index}" for index in range(count))
    facts = {"split": split, "file_name": "a.png"}
    rows = [
        Row.model_validate(facts | {"sample_id": name, "text": text})
        for name, text in zip(names, texts or reports, strict=True)
    ]
    return ImageSet(
        Path(prefix),
        names,
        names,
        torch.from_numpy(images)[:, None],
        tuple(f"{prefix}p{index // 2}" for index in range(count)),
        (),
        np.empty((count, 0)),
        pictures=tuple(Picture(row.sample_id, Path(row.file_name), row=row) for row in rows),
    )


def utility(
    synthetic: ImageSet, settings: RetrievalSection = QUICK, **changes: Any
) -> dict[str, Any]:
    sides = {"real": image_set("t", 90, 0), "test": image_set("h", 60, 1, split="test")}
    return retrieval_utility(
        synthetic=synthetic,
        settings=settings,
        image_size=SIDE,
        **({"resamples": 200} | sides | changes),
    )


def test_planted_pairs_are_found_and_shuffled_ones_are_not() -> None:
    _, texts = planted(90, 2)
    shuffled = [texts[index] for index in np.random.default_rng(5).permutation(90)]
    good = utility(image_set("s", 90, 2))
    only = QUICK.model_copy(update={"arms": ("synthetic",)})
    bad = utility(image_set("s", 90, 2, texts=shuffled), only)
    by_chance = good["chance"]["image_to_report"]["r5"]
    for arm in good["arms"].values():
        found = arm["image_to_report"]
        assert found["r5"]["value"] > by_chance + 0.2
        assert found["r5"]["ci"][0] > by_chance
        assert found["r1"]["value"] <= found["r5"]["value"]
        assert arm["report_to_image"]["r1"]["value"] > good["chance"]["report_to_image"]["r1"]
    wrong = bad["arms"]["synthetic"]["image_to_report"]["r5"]
    assert abs(wrong["value"] - by_chance) < 0.2
    assert wrong["delta_ci"][1] < 0.0
    assert bad["arms"]["real"] == good["arms"]["real"]
    assert good["arms"]["real"]["image_to_report"]["median_rank"]["delta_ci"] == [0.0, 0.0]
    assert (good["n_test"], good["n_test_patients"]) == (60, 30)
    json.dumps(good)


def test_the_same_integers_give_the_same_numbers() -> None:
    few, made = RetrievalSection(steps=5, seeds=1, batch=8, arms=("real",)), image_set("s", 20, 2)
    one, two, other = (utility(made, few, seed=seed) for seed in (0, 0, 1))
    assert one == two
    assert one["arms"]["real"]["image_to_report"] != other["arms"]["real"]["image_to_report"]


def test_every_arm_takes_the_same_steps_and_knows_its_own_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[dict[str, Any]] = []

    def counted(data: Pairs, **options: Any) -> Any:
        calls.append(options | {"n": len(data)})
        return fit_retriever(data, **(options | {"steps": 1}))

    monkeypatch.setattr(retrieval, "fit_retriever", counted)
    arms = ("real", "real+synthetic", "synthetic", "synthetic-then-real", "real+augmented")
    settings = RetrievalSection(steps=11, seeds=2, batch=4, arms=arms, alphas=(0.2, 9.0))
    made = image_set("s", 30, 2, texts=["word only here", "other prompt"] * 15)
    rare = [f"{text} zebra{index}" for index, text in enumerate(planted(60, 1)[1])]
    found = utility(made, settings, test=image_set("h", 60, 1, split="test", texts=rare))
    assert {arm["steps"] for arm in found["arms"].values()} == {11}
    assert sum(call["steps"] for call in calls) == 6 * 2 * 11
    assert list(found["not_trained"]) == ["real+9x synthetic"]
    known = [set(call["vocabulary"].terms) for call in calls]
    assert not any("zebra" in term for terms in known for term in terms)  # of test reports
    sizes = {name: arm["n_words"] for name, arm in found["arms"].items()}
    assert sizes["synthetic"] == 8  # five words and three pairs
    assert sizes["real+synthetic"] == sizes["real"] + sizes["synthetic"]
    assert sizes["synthetic-then-real"] == sizes["real+synthetic"]


def test_ranks_by_hand() -> None:
    gallery = gallery_of(["a", "b", "a", "c"])
    assert gallery.texts == ("a", "b", "c")
    similarity = np.array([[0.9, 0.1, 0.1], [0.8, 0.7, 0.7], [0.2, 0.3, 0.4], [0.5, 0.9, 0.6]])
    found = ranks(similarity, gallery)
    np.testing.assert_array_equal(found["image_to_report"], [1.0, 2.5, 3.0, 2.0])
    # "a": its best image has 0.9, above all others. "b": 0.7 behind 0.9. "c": 0.6 behind 0.7.
    np.testing.assert_array_equal(found["report_to_image"], [1.0, 2.0, 1.0, 2.0])
    with pytest.raises(SynthError, match="do not fit the gallery"):
        ranks(similarity[:, :2], gallery)
    with pytest.raises(SynthError, match="do not fit the gallery"):
        ranks(np.full((4, 3), np.nan), gallery)


def test_a_model_that_says_nothing_is_at_chance_not_first() -> None:
    gallery = gallery_of(planted(60, 1)[1])
    found = ranks(np.zeros((60, len(gallery.texts))), gallery)
    assert (found["image_to_report"] == (len(gallery.texts) + 1) / 2).all()
    assert (found["report_to_image"] > 20).all()


def test_chance_is_what_random_similarities_score() -> None:
    gallery = gallery_of(planted(60, 1)[1])
    rng = np.random.default_rng(0)
    draws = [ranks(rng.random((60, len(gallery.texts))), gallery) for _ in range(400)]
    for way, expected in chance(gallery).items():
        all_ranks = np.concatenate([found[way] for found in draws])
        for k in (1, 5):
            assert (all_ranks <= k).mean() == pytest.approx(expected[f"r{k}"], abs=0.02)
        assert np.median(all_ranks) == pytest.approx(expected["median_rank"], abs=1)
    alone = chance(gallery_of(["a", "b", "c", "d"]))
    assert alone["report_to_image"] == pytest.approx({"r1": 0.25, "r5": 1.0, "median_rank": 2})
    assert alone["image_to_report"] == pytest.approx(alone["report_to_image"])


def test_duplicates_of_a_text_are_no_negatives() -> None:
    logits = torch.tensor([[2.0, 9.0, 0.0], [9.0, 1.0, 0.0], [0.5, 0.5, 3.0]])
    same = torch.eye(3, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    images = [np.exp(2) / (np.exp(2) + 1), np.exp(1) / (np.exp(1) + 1)]
    images += [np.exp(3) / (np.exp(3) + 2 * np.exp(0.5))]
    texts = [np.exp(2) / (np.exp(2) + np.exp(0.5)), np.exp(1) / (np.exp(1) + np.exp(0.5))]
    texts += [np.exp(3) / (np.exp(3) + 2)]
    expected = -(np.log(images).mean() + np.log(texts).mean()) / 2
    assert float(info_nce(logits, same)) == pytest.approx(expected, rel=1e-5)
    assert float(info_nce(logits, torch.eye(3, dtype=torch.bool))) > 2 * expected


def test_words_are_counted_in_training_texts_alone() -> None:
    assert list(terms_of("no effusion. Left lung")) == [
        *("no", "effusion", "no effusion", "Left", "lung", "Left lung")
    ]
    vocabulary = vocabulary_of(["no effusion", "no nodule", "effusion"])
    assert vocabulary.terms == ("effusion", "no")
    numbers = vocabulary.encode(["no effusion", "a new word", "effusion effusion effusion"])
    assert numbers.tolist() == [[2, 1, 0], [0, 0, 0], [1, 1, 1]]
    assert len(Vocabulary(("a", "b"))) == 2
    with pytest.raises(SynthError, match="no word is in two training texts"):
        vocabulary_of(["one", "two"])
    assert plain(" No Acute\n Finding. ") == "no acute finding"


def test_medians_weigh_patients() -> None:
    values = np.array([5.0, 1.0, 3.0])
    weights = np.array([[1.0, 1.0, 1.0], [5.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 3.0, 0.0]])
    found = weighted_medians(values, weights)
    np.testing.assert_array_equal(found, [3.0, 5.0, np.nan, 1.0])
    how = resampling(40, None, seeds=2, resamples=300, seed=0)
    ladder = np.arange(1.0, 41.0)
    spread = spread_of_medians([ladder, ladder + 2], how)
    assert spread.value == 21.0
    # The median of n uniform values varies by 1 / (2 f √n), and two seeds 2 apart by √½.
    expected = np.hypot(40 / (2 * np.sqrt(40)), np.sqrt(0.5))
    assert np.std(spread.draws) == pytest.approx(expected, rel=0.15)
    gone = spread_of_medians(
        [np.full(4, np.nan)], resampling(4, None, seeds=1, resamples=9, seed=0)
    )
    assert gone.value is None
    assert np.isnan(gone.draws).all()


def test_leaks_and_texts_that_are_missing_are_refused() -> None:
    made = image_set("s", 20, 2)
    with pytest.raises(SynthError, match="test source reports"):
        utility(replace(made, groups=None, sources=frozenset({"h5"})))
    silent = replace(made, pictures=())
    with pytest.raises(SynthError, match="s: no texts"):
        utility(silent)
    alike = image_set("h", 60, 1, split="test", texts=["no opacity", "opacity"] * 30)
    with pytest.raises(SynthError, match=r"too few different reports .*got 2"):
        utility(made, test=alike)
    some = image_set("s", 20, 2, texts=[*planted(20, 2)[1][:15], *[""] * 5])
    assert len(with_texts(some)) == 15
    with pytest.raises(SynthError, match="texts do not fit"):
        Pairs(made.image_u8, ("a",))


def test_the_validation_split_chooses_and_patients_set_aside_stay_whole() -> None:
    held = image_set("h", 60, 1, split="test")
    rows = [picture.row for picture in held.pictures]
    marked = [
        row.model_copy(update={"split": "val" if index < 24 else "test"})
        for index, row in enumerate(rows)
        if row is not None
    ]
    pictures = tuple(Picture(row.sample_id, Path("a.png"), row=row) for row in marked)
    few = RetrievalSection(steps=2, seeds=1, batch=8, arms=("real",))
    found = utility(image_set("s", 20, 2), few, test=replace(held, pictures=pictures))
    assert (found["validation"], found["n_validation"], found["n_test"]) == (
        *("validation split", 24, 36),
    )
    assert found["n_real"] == 90
    other = utility(image_set("s", 20, 2), few)
    assert other["validation"] == "15 % of the training patients"
    assert other["n_validation"] % 2 == 0  # two images a patient
    assert other["n_validation"] + other["n_real"] == 90
    off = utility(image_set("s", 20, 2), few.model_copy(update={"early_stopping": False}))
    assert (off["n_validation"], off["early_stopping"], off["n_real"]) == (0, False, 90)


def test_retrieval_is_in_the_scores_where_it_is_asked_for(tmp_path: Path) -> None:
    for name, split, seed in (("real", "train", 0), ("made", "train", 2), ("test", "test", 1)):
        images, texts = planted(30, seed)
        rows = []
        for index, (image, text) in enumerate(zip(images, texts, strict=True)):
            file = f"images/{name}-{index}.png"
            save_png(tmp_path / name / file, image)
            facts = {"file_name": file, "sample_id": f"{name}-{index}", "split": split}
            rows.append(facts | {"text_used": text})
        append_jsonl(tmp_path / name / "metadata.jsonl", rows)
    assert pairs(open_images(tmp_path / "made", SIDE)).texts[0] == plain(planted(30, 2)[1][0])
    settings = MetricsSection(
        bootstrap=30, image_size=SIDE, retrieval=RetrievalSection(steps=2, seeds=1, batch=4)
    )
    asked = Choices(metrics=("retrieval",), extractors=("pixel",))
    paths = {"synthetic": tmp_path / "made", "train": tmp_path / "real"}
    scores = evaluate(real=tmp_path / "test", settings=settings, choices=asked, **paths).to_json()
    assert "retrieval" not in USUAL
    titles = [str(getattr(shown, "title", "")) for shown in score_tables(scores)]
    (title,) = [text for text in titles if text.startswith("Retrieval")]
    assert "among 30 images" in title
    rows = {row.name: row for row in compare(scores, scores).rows}
    assert rows["retrieval.synthetic.report_to_image.median_rank"].difference == 0.0
    assert rows["retrieval.real.image_to_report.r5"].first > 0.0
    lines = markdown(compare(scores, scores), "one", "two").splitlines()
    assert "## Retrieval utility" in lines
    assert any(line.startswith("| real: report to image median rank |") for line in lines)
    plain_folder = tmp_path / "test" / "images"
    without = evaluate(real=plain_folder, settings=settings, choices=asked, **paths)
    (why,) = [held.why for held in without.not_computed if held.what == "retrieval"]
    assert "no texts" in why
