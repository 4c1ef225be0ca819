"""Scores of one group of images, a finding or a subgroup, with tests that hold at small N.

Kernel distance is the primary number: unbiased at any N. The permutation p-value takes one image
of each patient, so that the sides are exchangeable, under kernels as wide as both sets say, which
no exchange alters: it is exact. The distance beside it is taken at the widths of the real images,
so that two runs compare. Shares of neighbours depend on N
and need more images. Below the stated least numbers a score is withheld, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.arrays import Floats
from metrics.chosen import FeatureSets, chosen_records
from metrics.distances import ExtractorFacts, Features, of_extractor
from metrics.fidelity import frechet_distance, kernel_distance, prdc
from metrics.groups import Group, GroupScores, Sides
from metrics.mmd import mmd_rbf
from metrics.multiplicity import holm_by_name
from metrics.nearest_share import nearest_share
from metrics.records import Missing, Record
from metrics.squared import centred_tiles
from metrics.vendi import vendi_score
from synth.errors import SynthError
from synth.seeding import numpy_rng

LEAST = 10  # images, and real patients, below which nothing is said of a group
LEAST_SHARES = 20  # images a side below which shares of neighbours say little
FRECHET_ROWS = 10  # images a feature and side below which a Fréchet distance says little
_MOST = 500  # images a side in a permutation test: its cost grows with their square
_SCALE_ROWS = 1000  # images that the kernels' widths are taken from
_DRAWS, _MOST_DRAWS = 999, 9999
_SHARES = ("precision", "recall", "density", "coverage")


@dataclass(frozen=True)
class Widths:
    """Of the kernels, the same for every group.

    Attributes:
        real: from the real images alone, for the distance.
        both: from both sets, for the test.
    """

    real: tuple[float, ...]
    both: tuple[float, ...]


def scores_of_groups(
    groups: list[Group], sides: Sides, *, what: str
) -> tuple[dict[str, GroupScores], list[Missing]]:
    """Score every group that is large enough, and correct the p-values for their number (Holm).

    Args:
        groups: rows of the features; groups may overlap.
        sides: both sets and their features.
        what: names the family in what is missing.

    Returns:
        Scores by the groups' names, and one entry for all groups that are too small.
    """
    real, synthetic, seed = sides.real_features, sides.synthetic_features, sides.seed
    small = {group.name: why for group in groups if (why := _too_small(group, real))}
    missing = []
    if small:
        listed = "; ".join(f"{name} ({why})" for name, why in small.items())
        why = f"fewer than {LEAST} images a side or {LEAST} real patients: {listed}"
        missing.append(Missing(what, why))
    kept = [group for group in groups if group.name not in small]
    if not kept:
        return {}, missing
    try:
        widths = Widths(
            kernel_widths(real.values, seed=seed),
            kernel_widths(np.concatenate([real.values, synthetic.values]), seed=seed),
        )
    except SynthError as error:
        return {}, [*missing, Missing(what, str(error))]
    # Holm multiplies the smallest p by the number of groups: enough draws to stay far below 5 %.
    draws = min(_MOST_DRAWS, max(_DRAWS, 100 * len(kept) - 1))
    found = {}
    for group in kept:
        own = real.take(group.real), synthetic.take(group.synthetic)
        scores = _scores(*own, widths, draws, k=sides.k, seed=seed)
        scores = _with_nearest(scores, group, real, synthetic, seed)
        found[group.name] = _with_chosen(scores, group, sides)
    corrected = holm_by_name({name: scores.p for name, scores in found.items()})
    return {
        name: replace(
            scores,
            p_holm=corrected[name],
            records={key: _of(record, sides.facts) for key, record in scores.records.items()},
        )
        for name, scores in found.items()
    }, missing


def _too_small(group: Group, real: Features) -> str:
    one, two = len(group.real), len(group.synthetic)
    patients = one if real.groups is None else len({real.groups[row] for row in group.real})
    if min(one, two, patients) >= LEAST:
        return ""
    return f"{one} real of {patients} patients, {two} synthetic"


def _of(record: Record, facts: ExtractorFacts) -> Record:
    """The record with its extractor; the versions stand once, in the provenance."""
    return replace(of_extractor(record, facts), versions={})


def _scores(
    real: Features,
    synthetic: Features,
    widths: Widths,
    draws: int,
    *,
    k: int,
    seed: int,
) -> GroupScores:
    withheld: dict[str, str] = {}
    sides: dict[str, Any] = {
        "real": real.values,
        "synthetic": synthetic.values,
        "real_groups": real.groups,
        "synthetic_groups": synthetic.groups,
        "seed": seed,
    }
    records = {"kd": kernel_distance(**sides)}
    records["mmd"] = _test(real, synthetic, widths, draws, seed)
    least = max(LEAST_SHARES, k + 1)
    if min(len(real), len(synthetic)) >= least:
        shares = prdc(**sides, k=k)
        records |= {name: shares[name] for name in _SHARES}
    else:
        withheld["precision, recall, density, coverage"] = f"fewer than {least} images a side"
    for name, measure in (("vendi", _vendi), ("fd", _frechet)):
        try:
            records[name] = measure(sides)
        except SynthError as error:
            withheld[name] = str(error)
    p = records["mmd"].details["p"]
    return GroupScores(
        records=records,
        p=None if p is None else float(p),
        n_real=len(real),
        patients_real=len(real) if real.groups is None else len(set(real.groups)),
        n_synthetic=len(synthetic),
        withheld=withheld,
    )


def _frechet(sides: dict[str, Any]) -> Record:
    """Raised as ``SynthError`` below ten images a feature, where no interval would be shown."""
    size, dim = min(len(sides["real"]), len(sides["synthetic"])), sides["real"].shape[1]
    if size < FRECHET_ROWS * dim:
        raise SynthError(f"fewer than {FRECHET_ROWS} × {dim} images a side")
    return frechet_distance(**sides, cross_check=False)


def _vendi(sides: dict[str, Any]) -> Record:
    """Effective number of different images, beside the real set's at the same N."""
    if min(len(sides["real"]), len(sides["synthetic"])) < LEAST_SHARES:
        raise SynthError(f"fewer than {LEAST_SHARES} images a side")
    return vendi_score(**{name: value for name, value in sides.items() if name != "real_groups"})


def _test(real: Features, synthetic: Features, widths: Widths, draws: int, seed: int) -> Record:
    """RBF-MMD and its permutation p, on one image a patient."""
    one = _one_a_patient(real, seed, "real")
    two = _one_a_patient(synthetic, seed, "synthetic")
    record = mmd_rbf(
        real=_double(one),
        synthetic=_double(two),
        bandwidths=widths.real,
        test_bandwidths=widths.both,
        permutations=draws,
        seed=seed,
    )
    return replace(record, estimator=f"{record.estimator}: all real images'; one image a patient")


def _with_nearest(
    scores: GroupScores, group: Group, real: Features, synthetic: Features, seed: int
) -> GroupScores:
    known = real.take(group.known)
    try:
        record = nearest_share(
            real=_double(known),
            synthetic=_double(synthetic.take(group.synthetic)),
            member=np.isin(group.known, group.real),
            real_groups=known.groups,
            seed=seed,
        )
    except SynthError as error:
        withheld = {**scores.withheld, "nearest_share": error.problem}
        return replace(scores, withheld=withheld)
    return replace(scores, records={**scores.records, "nearest_share": record})


def _with_chosen(scores: GroupScores, group: Group, sides: Sides) -> GroupScores:
    """What else was asked for, on the group's own images; the usual scores stay as they are."""
    train = None
    if sides.train_features is not None and group.train is not None and len(group.train) >= LEAST:
        train = sides.train_features.take(group.train)
    own = FeatureSets(
        sides.real_features.take(group.real),
        sides.synthetic_features.take(group.synthetic),
        train,
        f"fewer than {LEAST} training images of it",
    )
    records, missing = chosen_records(own, sides.choices, facts=sides.facts, seed=sides.seed)
    more = {
        name: replace(record, details={k: v for k, v in record.details.items() if k != "pairs"})
        for name, record in records.items()
        if name not in scores.records
    }
    why = {item.what: item.why for item in missing if item.what not in scores.records}
    return replace(scores, records={**scores.records, **more}, withheld={**scores.withheld, **why})


def _one_a_patient(features: Features, seed: int, side: str) -> Features:
    """One row of each patient at random, at most ``_MOST`` of them."""
    order = numpy_rng("metrics", "one-a-patient", side, seed).permutation(len(features))
    if features.groups is not None:
        _, first = np.unique([features.groups[row] for row in order], return_index=True)
        order = order[np.sort(first)]
    return features.take(np.sort(order[:_MOST]))


def kernel_widths(rows: NDArray[np.floating], *, seed: int) -> tuple[float, ...]:
    """Widths of the Gaussian kernels, one set for all groups: the median distance × {½, 1, 2}.

    Args:
        rows: [n, d] features of all images.
        seed: of the subsample.

    Raises:
        SynthError: more than half of all pairs of images are equal.
    """
    order = numpy_rng("metrics", "kernel-widths", seed).permutation(len(rows))
    kept = rows[order[:_SCALE_ROWS]].astype(np.float64)
    squared = np.concatenate([part for _, part in centred_tiles(kept, kept)])
    median = float(np.sqrt(np.median(squared[np.triu_indices(len(squared), k=1)])))
    if median == 0.0:
        raise SynthError("more than half of all pairs of images have equal features")
    return (0.5 * median, median, 2.0 * median)


def _double(features: Features) -> Floats:
    return np.asarray(features.values, dtype=np.float64)
