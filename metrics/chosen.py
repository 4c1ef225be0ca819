"""Which metrics an evaluation computes: the usual ones, or those named on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from metrics.authenticity import authenticity
from metrics.c2st import c2st
from metrics.copy_rate import copy_rate
from metrics.data_copying import data_copying
from metrics.distances import ExtractorFacts, Features, of_extractor
from metrics.held_out_floor import held_out_floors
from metrics.mifid import mifid
from metrics.mmd import mmd_rbf
from metrics.nearest_neighbour import nearest_neighbour_auc
from metrics.records import Missing, Record
from metrics.sliced_wasserstein import sliced_wasserstein
from metrics.vendi import vendi_score
from synth.data.images_in import DECLARED_BY_FILES, Reading
from synth.errors import SynthError, UsageError
from synth.registry import did_you_mean

PER_GROUP = ("per-finding", "per-subgroup")
USUAL = (
    *("fd", "kd", "prdc", "texture"),
    *PER_GROUP,
    *("label-fidelity", "memorization", "utility", "probe", "reconstruction", "failures"),
)
TWO_SETS = ("mmd", "sliced-wasserstein", "c2st", "vendi")
WITH_TRAINING = ("authenticity", "nn-auc", "data-copying", "copy-rate", "mifid")
OF_TEXTS = ("alignment",)
OF_PIXELS = ("ms-ssim",)
FURTHER_UTILITY = ("retrieval", "segmentation")  # trained, so only where asked for
ALL = (*USUAL, *TWO_SETS, *WITH_TRAINING, *FURTHER_UTILITY, *OF_TEXTS, *OF_PIXELS)

_Measure = Callable[[Features, Features, int | None], Record]


@dataclass(frozen=True)
class Choices:
    """What one evaluation is asked for beyond its settings.

    Attributes:
        metrics: names of ``ALL``; empty takes the usual ones.
        extractors: descriptions for ``synth.extractors.open``; empty takes the settings' one. The
            first names its records plainly, later ones add their name.
        store: where features are kept; None keeps nothing.
        reading: how files become grey levels.
    """

    metrics: tuple[str, ...] = ()
    extractors: tuple[str, ...] = ()
    store: Path | None = None
    reading: Reading = DECLARED_BY_FILES

    def wants(self, name: str) -> bool:
        """Whether a metric is asked for."""
        return name in (self.metrics or USUAL)


AS_USUAL = Choices()


def metric_names(text: Iterable[str]) -> tuple[str, ...]:
    """``["fd,kd", "vendi"]`` -> names; ``all`` is all of them, ``usual`` the usual ones.

    Raises:
        UsageError: a name is unknown.
    """
    names: list[str] = []
    for name in (part.strip().lower() for item in text for part in item.split(",")):
        if not name:
            continue
        found = {"all": ALL, "usual": USUAL}.get(name, (name.replace("_", "-"),))
        if found[0] not in ALL:
            raise UsageError(
                "unknown metric",
                got=name,
                expected=", ".join(("all", "usual", *ALL)),
                fix=did_you_mean(name, ALL),
            )
        names.extend(found)
    return tuple(dict.fromkeys(names))


@dataclass(frozen=True)
class FeatureSets:
    """Features of one extractor by role; ``untrained`` says why there are none of training."""

    real: Features
    synthetic: Features
    train: Features | None
    untrained: str = "no training images"


def chosen_records(
    sets: FeatureSets, choices: Choices, *, facts: ExtractorFacts, seed: int
) -> tuple[dict[str, Record], list[Missing]]:
    """Records of the metrics beyond the usual ones, and what could not be computed and why."""
    records: dict[str, Record] = {}
    missing: list[Missing] = []
    measures = _two_sets(sets, seed)
    if sets.train is None:
        missing.extend(
            Missing(name, sets.untrained) for name in WITH_TRAINING if choices.wants(name)
        )
    else:
        measures |= {
            name: partial(_with_floor, measure, sets, seed)
            for name, measure in _with_training(sets.train, seed).items()
        }
    for name, measure in measures.items():
        if not choices.wants(name):
            continue
        try:
            record = measure()
        except SynthError as error:
            missing.append(Missing(name, str(error)))
            continue
        records[name] = of_extractor(record, facts)
    return records, missing


def _two_sets(sets: FeatureSets, seed: int) -> dict[str, Callable[[], Record]]:
    real, made = sets.real, sets.synthetic
    return {
        "mmd": lambda: mmd_rbf(
            real=real.values,
            synthetic=made.values,
            real_groups=real.groups,
            synthetic_groups=made.groups,
            seed=seed,
        ),
        "sliced-wasserstein": lambda: sliced_wasserstein(
            real=real.values,
            synthetic=made.values,
            real_groups=real.groups,
            synthetic_groups=made.groups,
            seed=seed,
        ),
        "c2st": lambda: c2st(
            real=real.values,
            synthetic=made.values,
            real_groups=real.groups,
            synthetic_groups=made.groups,
            seed=seed,
        ),
        "vendi": lambda: vendi_score(
            synthetic=made.values, real=real.values, synthetic_groups=made.groups, seed=seed
        ),
    }


def _with_floor(measure: _Measure, sets: FeatureSets, seed: int) -> Record:
    """The record, with what unseen real images score in the place of the synthetic ones."""
    record = measure(sets.real, sets.synthetic, None)
    floors = held_out_floors(
        lambda unseen, made: {"": measure(unseen, made, 0).value},
        sets.real,
        sets.synthetic,
        seed=seed,
    )
    return replace(record, floor=floors.get(""))


def _with_training(train: Features, seed: int) -> dict[str, _Measure]:
    """Each of (held-out images, synthetic images, permutations or None for the usual number)."""

    def given(held: Features, made: Features) -> dict[str, Any]:
        return {"train": train.values, "heldout": held.values, "synthetic": made.values}

    def exchanged(count: int | None) -> dict[str, Any]:
        return {"seed": seed} | ({} if count is None else {"permutations": count})

    return {
        "authenticity": lambda held, made, _: authenticity(
            **given(held, made),
            train_groups=train.groups,
            synthetic_groups=made.groups,
            heldout_groups=held.groups,
        ),
        "nn-auc": lambda held, made, count: nearest_neighbour_auc(
            **given(held, made),
            train_groups=train.groups,
            heldout_groups=held.groups,
            **exchanged(count),
        ),
        "data-copying": lambda held, made, count: data_copying(
            **given(held, made), heldout_groups=held.groups, **exchanged(count)
        ),
        "copy-rate": lambda held, made, _: copy_rate(
            **given(held, made), heldout_groups=held.groups, synthetic_groups=made.groups
        ),
        "mifid": lambda held, made, _: mifid(
            train=train.values, synthetic=made.values, real=held.values
        ),
    }
