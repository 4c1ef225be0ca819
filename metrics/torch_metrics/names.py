"""Names of rows, patients or labels, as tensors that processes can gather."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

from synth.errors import SynthError

_WIDTH = 64  # bytes of a name; of a longer one the end is replaced by a hash of the whole


def coded(names: Sequence[object], count: int, *, where: str) -> Tensor:
    """The bytes of each name, uint8 [count, 64], which ``read`` turns back.

    Raises:
        SynthError: not one name a row.
    """
    if len(names) != count:
        raise SynthError("one name a row is needed", where=where, got=len(names), expected=count)
    codes = np.zeros((count, _WIDTH), dtype=np.uint8)
    for row, name in enumerate(names):
        text = str(name).encode()
        if len(text) > _WIDTH:
            text = text[: _WIDTH - 32] + _digest(text).hex().encode()
        codes[row, : len(text)] = np.frombuffer(text, dtype=np.uint8)
    return torch.from_numpy(codes)


def read(codes: Tensor) -> list[str]:
    """The names; those above 64 bytes differ where the given ones did."""
    rows = codes.cpu().numpy()
    return [row.tobytes().rstrip(b"\0").decode(errors="backslashreplace") for row in rows]


def numbered(names: Sequence[object], count: int, *, where: str) -> Tensor:
    """A number for each name, int64 [count], the same in every process.

    Raises:
        SynthError: not one name a row.
    """
    codes = coded(names, count, where=where).numpy()
    values = [int.from_bytes(_digest(row.tobytes())[:7], "big") for row in codes]
    return torch.tensor(values, dtype=torch.int64)


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=16).digest()
