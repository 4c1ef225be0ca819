"""Real images in the place of synthetic ones: the floor of metrics that need training images."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.random import RandomState

from metrics import authenticity, copy_rate, nearest_neighbour_auc
from metrics.chosen import ALL, TWO_SETS, WITH_TRAINING, Choices, FeatureSets, chosen_records
from metrics.distances import ExtractorFacts, Features
from metrics.extract import features_of
from metrics.floor import floor_rows
from metrics.held_out_floor import held_out_floors, memorization_floors
from metrics.ingest import ImageSet
from metrics.memorization import memorization
from metrics.sections import memorization_section
from metrics.sets import Sets, Work
from synth.config.schema import MetricsSection
from synth.extractors.pixel import PixelExtractor
from synth.progress import Silent

FACTS = ExtractorFacts("test", "test-1", "0" * 64, "none")


def sets(seed: int, copied: int = 0, held: int = 120) -> FeatureSets:
    """Three images a real patient; the first synthetic rows are copies of training ones."""
    stream = RandomState(seed)

    def real(count: int, prefix: str) -> Features:
        person = np.repeat(stream.randn(count // 3 + 1, 6), 3, axis=0)[:count]
        names = [f"{prefix}{row // 3}" for row in range(count)]
        return Features(0.8 * person + 0.6 * stream.randn(count, 6), names)

    train, unseen = real(150, "t"), real(held, "h")
    made = stream.randn(90, 6)
    made[:copied] = train.values[:copied] + 0.01 * stream.randn(copied, 6)
    return FeatureSets(unseen, Features(made, None), train)


def test_every_chosen_metric_has_a_floor_and_its_value_at_that_n() -> None:
    given = sets(0)
    found, missing = chosen_records(given, Choices(metrics=ALL), facts=FACTS, seed=1)
    assert not missing
    assert set(found) == {*TWO_SETS, *WITH_TRAINING}
    for name, record in found.items():
        assert record.floor is not None, name
        assert record.floor.synthetic_at_same_n is not None, name
        assert record.floor.n == (90 if name == "vendi" else 60), name
        json.dumps(record.to_json()["floor"])


def test_the_floor_of_copying_is_what_unseen_images_score_whatever_the_generator() -> None:
    honest, _ = chosen_records(sets(1), Choices(metrics=WITH_TRAINING), facts=FACTS, seed=1)
    copier, _ = chosen_records(sets(1, 90), Choices(metrics=WITH_TRAINING), facts=FACTS, seed=1)
    for name in WITH_TRAINING:
        assert honest[name].floor is not None
        assert copier[name].floor is not None
        assert honest[name].floor.value == copier[name].floor.value, name
    marks = {name: copier[name].floor for name in WITH_TRAINING}
    assert abs(marks["authenticity"].value) < 0.2
    assert marks["authenticity"].synthetic_at_same_n < -0.3
    assert abs(marks["nn-auc"].value - 0.5) < 0.15
    # As many training as unseen images: of the 150 that were copied it sees 60.
    assert marks["nn-auc"].synthetic_at_same_n > 0.65
    assert abs(marks["data-copying"].value) < 2 < -marks["data-copying"].synthetic_at_same_n
    assert marks["copy-rate"].value < 0.2 < 0.9 < marks["copy-rate"].synthetic_at_same_n
    assert marks["mifid"].value < marks["mifid"].synthetic_at_same_n


def test_floors_are_the_metrics_between_halves_without_a_common_patient() -> None:
    given = sets(2)
    assert given.train is not None
    rows = floor_rows(120, 90, given.real.groups, seed=5)
    assert rows is not None
    first, second, made = (
        side.take(kept)
        for side, kept in zip((given.real, given.real, given.synthetic), rows, strict=True)
    )
    assert first.groups is not None
    assert second.groups is not None
    assert not set(first.groups) & set(second.groups)
    records, _ = chosen_records(given, Choices(metrics=WITH_TRAINING), facts=FACTS, seed=5)
    train = {"train": given.train.values, "train_groups": given.train.groups}
    unseen = {"heldout": second.values, "heldout_groups": second.groups}
    for side, at in ((first, "value"), (made, "synthetic_at_same_n")):
        expected = {
            "authenticity": authenticity(**train, **unseen, synthetic=side.values).value,
            "nn-auc": nearest_neighbour_auc(
                **train, **unseen, synthetic=side.values, permutations=0, seed=5
            ).value,
            "copy-rate": copy_rate(
                train=given.train.values, heldout=second.values, synthetic=side.values
            ).value,
        }
        for name, value in expected.items():
            assert getattr(records[name].floor, at) == value, name
    floors = memorization_floors(
        train=given.train, held_out=given.real, synthetic=given.synthetic, seed=5
    )
    assert set(floors) == {"auc", "share_closer", "nn_auc"}
    alone = memorization(
        train=given.train.values,
        held_out=second.values,
        synthetic=first.values,
        held_out_groups=second.groups,
        synthetic_groups=first.groups,
    )
    assert floors["auc"].value == alone.auc.value
    assert floors["share_closer"].value == alone.share_closer.value
    assert floors["nn_auc"] == records["nn-auc"].floor


def test_the_floor_of_memorization_stays_where_images_are_copied() -> None:
    values = []
    for copied in (0, 90):
        given = sets(3, copied)
        assert given.train is not None
        values.append(
            memorization_floors(
                train=given.train, held_out=given.real, synthetic=given.synthetic, seed=0
            )
        )
    honest, copier = values
    for name in ("auc", "share_closer", "nn_auc"):
        assert honest[name].value == copier[name].value
    assert 0.3 < copier["auc"].value < 0.7
    assert copier["auc"].synthetic_at_same_n == 1.0
    assert copier["nn_auc"].synthetic_at_same_n > 0.65 > 0.55 > copier["nn_auc"].value


def test_the_section_of_memorization_holds_the_floors() -> None:
    def images(prefix: str, count: int, seed: int) -> ImageSet:
        levels = RandomState(seed).randint(0, 256, (count, 1, 32, 32)).astype(np.uint8)
        names = tuple(f"{prefix}{row}" for row in range(count))
        return ImageSet(
            Path(prefix), names, names, torch.from_numpy(levels), names, (), np.empty((count, 0))
        )

    given = Sets(images("h", 40, 0), images("s", 30, 1), images("t", 50, 2), None)
    work = Work(MetricsSection(bootstrap=20, seed=3), Silent())
    section = memorization_section(given, work)
    assert section is not None
    train, held, made = (
        features_of(PixelExtractor(32), side) for side in (given.train, given.real, given.synthetic)
    )
    floors = memorization_floors(train=train, held_out=held, synthetic=made, seed=3)
    for name in ("auc", "share_closer", "nn_auc"):
        assert section[name]["floor"] == asdict(floors[name]), name
        assert section[name]["floor"]["n"] == 20


def test_too_few_unseen_images_and_metrics_without_a_value_have_no_floor() -> None:
    given = sets(4, held=19)
    found, _ = chosen_records(given, Choices(metrics=WITH_TRAINING), facts=FACTS, seed=0)
    assert all(record.floor is None for record in found.values())
    assert all(record.value is not None for record in found.values())
    whole = sets(4)
    nothing = held_out_floors(lambda *_: {"x": None}, whole.real, whole.synthetic, seed=0)
    assert nothing == {}


@pytest.mark.parametrize("name", ["nn-auc", "data-copying"])
def test_a_floor_costs_no_permutations(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import metrics.chosen as chosen

    asked: list[int | None] = []
    function = "nearest_neighbour_auc" if name == "nn-auc" else "data_copying"
    real = getattr(chosen, function)

    def counted(**given):  # type: ignore[no-untyped-def]
        asked.append(given.get("permutations"))
        return real(**given)

    monkeypatch.setattr(chosen, function, counted)
    found, _ = chosen_records(sets(5), Choices(metrics=(name,)), facts=FACTS, seed=0)
    assert asked == [None, 0, 0]
    assert found[name].details["p"] is not None
