"""What other tools print for the same features, their defects included.

    from metrics.compat import compatible, inception_score
    compatible("torch-fidelity", real=real, synthetic=synthetic)
    inception_score(logits)  # of one set of images

For comparing with published numbers only: each file names what is wrong with the number. A preset
takes features; the extractor and the resize decide far more, so they must be the tool's as well.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from numpy.typing import ArrayLike

from metrics.arrays import Floats, feature_pair, features
from synth.errors import UsageError

PRESETS = {
    "torchmetrics": "metrics.compat.torchmetrics_1_9",
    "torch-fidelity": "metrics.compat.torch_fidelity",
    "pytorch-fid": "metrics.compat.pytorch_fid",
    "prdc": "metrics.compat.prdc_0_2",
    "cmmd": "metrics.compat.cmmd",
    "chexgenbench": "metrics.compat.chexgenbench",
}


def compatible(name: str, *, real: ArrayLike, synthetic: ArrayLike) -> dict[str, float]:
    """The numbers a tool prints for these features, by the tool's names.

    Args:
        name: one of ``PRESETS``.
        real: [n, d].
        synthetic: [m, d].

    Raises:
        UsageError: no such preset.
        SynthError: what the tool itself would refuse, and non-finite features.
    """
    if name not in PRESETS:
        raise UsageError("no such preset", got=name, expected=", ".join(PRESETS))
    one, two = feature_pair(real, synthetic)
    printed: Callable[[Floats, Floats], dict[str, float]]
    printed = import_module(PRESETS[name]).printed
    return printed(one, two)


def defects(name: str) -> tuple[str, ...]:
    """What is known to be wrong with a preset's numbers."""
    if name not in PRESETS:
        raise UsageError("no such preset", got=name, expected=", ".join(PRESETS))
    found: tuple[str, ...] = import_module(PRESETS[name]).DEFECTS
    return found


def inception_score(logits: ArrayLike) -> dict[str, float]:
    """The Inception Score that torch-fidelity prints, by its names (Salimans et al. 2016).

    It knows no real images and says how sure and how varied the classes are that a network of
    photographs sees: of medical images it says little. Ten splits of shuffled rows, seed 2020.

    Args:
        logits: [n, classes] of one set, before softmax; torch-fidelity's are the 1008 of its
            Inception network without the bias.

    Raises:
        SynthError: fewer rows than splits, NaN or infinite values.
    """
    of = import_module(PRESETS["torch-fidelity"])
    mean, spread = of.inception_score(features("logits", logits, least=of.SPLITS))
    return {"inception_score_mean": mean, "inception_score_std": spread}
