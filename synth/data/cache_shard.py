"""One file of a cache: many entries of the same fields, joined, so that its header stays small.

    keys          uint8 [N, 16]   content hashes
    checks        int64 [N]       CRC-32 of each entry's bytes, fields in order of name
    <field>       [N, …] where all entries have one shape, else joined along their first axis
    <field>.ends  int64 [N]       where each entry of a joined field ends

It is a safetensors file, mapped when it is read: nothing is in memory before it is used.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from synth.errors import SynthError
from synth.manifest import sha256_text

SUFFIX = ".safetensors"
_LAYOUT = "synth-cache-1"
_ENDS = ".ends"
_KEYS, _CHECKS = "keys", "checks"
Entry = Mapping[str, Tensor]


class DamagedShard(SynthError):
    """A file in a cache that is not a whole shard of this layout."""

    def __init__(self, path: Path, got: object) -> None:
        fix = "Delete it: the next run makes what it held again, and nothing else."
        super().__init__("damaged cache file", where=path, got=got, fix=fix)


@dataclass(frozen=True)
class Shard:
    """An open shard.

    Attributes:
        path: the file.
        keys: S16 [N].
        checks: int64 [N].
        fields: by name, views of the mapped file.
        ends: int64 [N] by name of each joined field.
    """

    path: Path
    keys: NDArray[np.bytes_]
    checks: Tensor
    fields: Mapping[str, Tensor]
    ends: Mapping[str, Tensor]

    def entry(self, row: int) -> dict[str, Tensor]:
        """The tensors of one entry, by field; views of the mapped file."""
        return {name: self._part(name, field, row) for name, field in self.fields.items()}

    def verify(self, row: int) -> None:
        """Compare an entry with its checksum.

        Raises:
            DamagedShard: the bytes are not those that were written.
        """
        if _checksum(self.entry(row)) != int(self.checks[row]):
            raise DamagedShard(self.path, f"entry {row} does not match its checksum")

    def _part(self, name: str, field: Tensor, row: int) -> Tensor:
        if name not in self.ends:
            return field[row]
        ends = self.ends[name]
        return field[int(ends[row - 1]) if row else 0 : int(ends[row])]


def open_shard(path: Path) -> Shard:
    """Map a shard; only its header and its table of keys are read.

    Raises:
        DamagedShard: it is cut short, is not safetensors, or has another layout.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("layout") != _LAYOUT:
                raise DamagedShard(path, f"layout {metadata.get('layout')}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise DamagedShard(path, error) from None
    keys, checks = tensors.pop(_KEYS), tensors.pop(_CHECKS)
    return Shard(
        path=path,
        keys=keys.numpy().view("S16")[:, 0],
        checks=checks,
        fields={n: t for n, t in tensors.items() if not n.endswith(_ENDS)},
        ends={n.removesuffix(_ENDS): t for n, t in tensors.items() if n.endswith(_ENDS)},
    )


def write_shard(folder: Path, entries: Mapping[str, Entry]) -> Path:
    """Commit entries as one file, named after their keys: whole, or not there.

    Args:
        folder: must be there.
        entries: by key, 32 hexadecimal digits; all with the same fields and dtypes.
    """
    plain = [{n: t.detach().cpu() for n, t in sorted(e.items())} for e in entries.values()]
    tensors: dict[str, Tensor] = {
        _KEYS: torch.tensor([list(bytes.fromhex(key)) for key in entries], dtype=torch.uint8),
        _CHECKS: torch.tensor([_checksum(entry) for entry in plain]),
    }
    for name in plain[0]:
        tensors |= _joined(name, [entry[name] for entry in plain])
    path = folder / f"{sha256_text(' '.join(entries))[:24]}{SUFFIX}"
    temporary = folder / f".{path.stem}.{os.getpid()}.tmp"
    try:
        save_file(tensors, temporary, metadata={"layout": _LAYOUT})
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:  # a full disk gets its room back
        temporary.unlink(missing_ok=True)
    return path


def entry_bytes(entry: Entry) -> int:
    """What an entry takes on disk."""
    return sum(tensor.nbytes for tensor in entry.values())


def _joined(name: str, parts: Sequence[Tensor]) -> dict[str, Tensor]:
    if all(part.shape == parts[0].shape for part in parts):
        return {name: torch.stack(list(parts))}
    lengths = torch.tensor([len(part) for part in parts])
    return {name: torch.cat(list(parts)), name + _ENDS: lengths.cumsum(0)}


def _checksum(entry: Entry) -> int:
    value = 0
    for name in sorted(entry):
        flat = entry[name].contiguous().reshape(-1).view(torch.uint8)
        value = zlib.crc32(flat.numpy().data, value)
    return value
