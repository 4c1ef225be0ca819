from __future__ import annotations

import numpy as np
import pytest
import torch

from synth.config.schema import EmaSection
from synth.errors import SynthError, UsageError
from train.posthoc import (
    coefficients,
    exponent,
    profile_decay,
    reconstruct,
    save_snapshot,
    snapshots,
)

BATCH, STEPS = 8, 400


def test_exponents_are_those_of_the_paper():
    # Karras et al. 2024, section 3.1: widths 5 % and 10 % are gamma 16.97 and 6.94
    assert exponent(0.05) == pytest.approx(16.97, abs=0.005)
    assert exponent(0.10) == pytest.approx(6.94, abs=0.005)
    assert exponent(0.25) == pytest.approx(0.72, abs=0.005)


def walk() -> np.ndarray:
    return np.cumsum(np.random.default_rng(0).normal(size=(STEPS, 5)), axis=0)


def tracked(width: float, path: np.ndarray, steps: int) -> np.ndarray:
    average = np.zeros(path.shape[1])
    for step in range(1, steps + 1):
        decay = profile_decay(step * BATCH, BATCH, width)
        average = decay * average + (1 - decay) * path[step - 1]
    return average


def test_tracking_is_the_profile():
    path, width = walk(), 0.1
    t = np.arange(1, STEPS + 1) / STEPS
    gamma = exponent(width)
    edges = np.concatenate([[0.0], t]) ** (gamma + 1)
    weights = np.diff(edges)  # the profile's integral over each step
    np.testing.assert_allclose(tracked(width, path, STEPS), weights @ path, rtol=1e-9)


@pytest.mark.parametrize("width", [0.05, 0.07, 0.1, 0.15])
def test_any_width_is_reconstructed_from_two_profiles(tmp_path, width):
    path = walk()
    for kept in (0.05, 0.1):
        for steps in range(20, STEPS + 1, 20):
            average = torch.from_numpy(tracked(kept, path, steps)).float()
            save_snapshot(tmp_path, kept, steps * BATCH, {"w": average})
    got = reconstruct(tmp_path, width)["w"].numpy()
    expected = tracked(width, path, STEPS)
    # as near as float16 snapshots allow; the nearest snapshot alone is far away
    spread = np.abs(tracked(0.05, path, STEPS) - tracked(0.2, path, STEPS)).max()
    assert np.abs(got - expected).max() < 0.02 * spread
    assert coefficients(
        [(item.width, item.images_seen) for item in snapshots(tmp_path)], width, STEPS * BATCH
    ).sum() == pytest.approx(1.0, abs=0.01)


def test_a_snapshot_gives_itself_back(tmp_path):
    save_snapshot(tmp_path, 0.05, 800, {"w": torch.tensor([1.0, 2.0])})
    save_snapshot(tmp_path, 0.1, 800, {"w": torch.tensor([5.0, -2.0])})
    assert torch.allclose(reconstruct(tmp_path, 0.1)["w"], torch.tensor([5.0, -2.0]), atol=1e-5)


def test_what_cannot_be_made_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"profiles=\[0.05,0.1\]"):
        reconstruct(tmp_path, 0.1)
    save_snapshot(tmp_path, 0.05, 80, {"w": torch.zeros(2)})
    with pytest.raises(UsageError, match=r"from 0\.05 to 0\.28"):
        reconstruct(tmp_path, 0.01)
    with pytest.raises(UsageError, match="got 99; expected 80"):
        reconstruct(tmp_path, 0.1, 99)
    (tmp_path / "0.05-160.safetensors").write_bytes(b"cut")
    with pytest.raises(SynthError, match="damaged snapshot"):
        reconstruct(tmp_path, 0.1)
    (tmp_path / "0.05-160.safetensors").unlink()
    save_snapshot(tmp_path, 0.05, 160, {"other": torch.zeros(2)})
    with pytest.raises(SynthError, match="another model"):
        reconstruct(tmp_path, 0.1)


def test_profiles_in_the_configuration():
    assert EmaSection(profiles=(0.05, 0.1)).profiles == (0.05, 0.1)
    with pytest.raises(ValueError, match=r"between 0 and 0\.28"):
        EmaSection(profiles=(0.05, 0.3))
    with pytest.raises(ValueError, match="two widths"):
        EmaSection(profiles=(0.05,))
