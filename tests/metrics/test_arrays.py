from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from metrics import frechet_distance, kernel_distance, prdc
from metrics.arrays import block_count, blocks, halves
from synth.errors import SynthError

DISTANCES: list[Callable[..., Any]] = [frechet_distance, kernel_distance, prdc]


def test_distances_import_without_torch() -> None:
    code = (
        "import sys\n"
        "from metrics import frechet_distance, kernel_distance, prdc\n"
        "assert kernel_distance(real=[[1, 0], [0, 1]], synthetic=[[1, 1], [2, 0]]).value == 1.125\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(
    ("real", "synthetic", "message"),
    [
        (np.zeros((9, 3)), np.zeros((9, 4)), r"different dimensions \(got 3 and 4\).*extractor"),
        (np.zeros((1, 3)), np.zeros((9, 3)), r"real: too few images \(got 1; expected at least"),
        (np.zeros((9, 3)), np.zeros((0, 3)), r"synthetic: too few images \(got 0"),
        (np.zeros(9), np.zeros((9, 1)), r"real: features must be a matrix \(got \(9,\)"),
        (np.zeros((9, 0)), np.zeros((9, 0)), r"real: features must be a matrix"),
        (np.zeros((9, 2)), np.full((9, 2), np.nan), r"synthetic: features hold NaN.*9 such rows"),
        (np.full((9, 2), np.inf), np.zeros((9, 2)), r"real: features hold NaN or infinite"),
        ([[1.0], [1.0, 2.0]], np.zeros((9, 1)), r"real: features are not numbers in a matrix"),
        ([["a"]] * 9, np.zeros((9, 1)), r"real: features are not numbers in a matrix"),
    ],
)
def test_wrong_features_are_refused_readably(
    distance: Callable[..., Any], real: Any, synthetic: Any, message: str
) -> None:
    with pytest.raises(SynthError, match=message):
        distance(real=real, synthetic=synthetic)


@pytest.mark.parametrize("distance", DISTANCES)
def test_sides_are_named(distance: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        distance(np.zeros((9, 2)), np.zeros((9, 2)))


def test_blocks_are_even_and_keep_a_patient_together() -> None:
    groups = [f"p{index % 37}" for index in range(400)]
    block = blocks(400, groups, number=10, seed=0, side="real")
    for name in set(groups):
        rows = [index for index, group in enumerate(groups) if group == name]
        assert len(set(block[rows])) == 1
    sizes = np.bincount(block, minlength=10)
    assert sizes.min() > 0
    assert sizes.max() - sizes.min() <= 11  # a patient has ten or eleven images
    alone = np.bincount(blocks(103, None, number=10, seed=0, side="real"))
    assert set(alone) == {10, 11}


def test_blocks_follow_from_the_seed_and_differ_between_sides() -> None:
    first = blocks(50, None, number=5, seed=0, side="real")
    assert (first == blocks(50, None, number=5, seed=0, side="real")).all()
    assert (first != blocks(50, None, number=5, seed=1, side="real")).any()
    assert (first != blocks(50, None, number=5, seed=0, side="synthetic")).any()


def test_no_more_blocks_than_patients() -> None:
    assert block_count(100, None, most=10) == 10
    assert block_count(4, None, most=10) == 4
    assert block_count(100, ["a", "b"] * 50, most=10) == 2


def test_halves_are_disjoint_equal_and_share_no_patient() -> None:
    groups = [f"p{index % 23}" for index in range(300)]
    one, two = halves(300, groups, seed=5)
    assert len(one) == len(two) >= 135
    assert not set(one) & set(two)
    assert not {groups[row] for row in one} & {groups[row] for row in two}


def test_a_group_a_row_is_needed() -> None:
    with pytest.raises(SynthError, match=r"real: one group a row is needed \(got 1; expected 3\)"):
        blocks(3, ["a"], number=2, seed=0, side="real")
