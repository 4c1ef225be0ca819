"""Randomness from integers: every draw is a function of named parts, never of hidden state.

``seed_from("sample", run_seed, sample_id)`` is the same on every machine, so an image, a data
order or a noise tensor can be made again from the numbers in its manifest row.
"""

from __future__ import annotations

import hashlib
import operator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def seed_from(*parts: int | str) -> int:
    """Hash the parts to an integer in [0, 2**63), stable across platforms and versions.

    NumPy's integers count as the integers they are, and a float is a TypeError: its text could
    differ between platforms.

    >>> seed_from("sample", 0, "syn-000001") == seed_from("sample", 0, "syn-000001")
    True
    """
    text = "\x1f".join(
        f"str:{part}" if isinstance(part, str) else f"int:{operator.index(part)}" for part in parts
    )
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def numpy_rng(*parts: int | str) -> np.random.Generator:
    """A counter-based (Philox) NumPy generator keyed by the parts."""
    return np.random.Generator(np.random.Philox(key=seed_from(*parts)))


def torch_generator(*parts: int | str) -> torch.Generator:
    """A CPU torch generator keyed by the parts.

    Always on the CPU: the same integers then give the same noise whatever the device that uses it.
    """
    import torch

    return torch.Generator("cpu").manual_seed(seed_from(*parts))
