"""Features kept on disk: one row an image, named by the hash of its content, mapped when read.

    <store>/<extractor>/facts.json        what made the features; anything else is refused
                        <hash>.npy        float32 [n, dim], mapped
                        <hash>.keys       n keys of 32 bytes, written last: it commits the rows

Shards are only ever added, whole, under names that their content gives: several processes may
write to one store, and two stores merge by copying files.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth.errors import SynthError
from synth.manifest import sha256_text, write_bytes, write_json

_KEY = 32  # bytes of a SHA-256
Features = NDArray[np.float32]


@dataclass(frozen=True)
class StoreFacts:
    """What all features of a store have in common.

    Attributes:
        extractor: the extractor's id.
        weights_sha256: of its weights.
        preprocessing: in words.
        reading: how files became grey levels.
        dim: length of a feature vector.
    """

    extractor: str
    weights_sha256: str
    preprocessing: str
    reading: str
    dim: int


class FeatureStore:
    """The features of one extractor, by image.

    Args:
        folder: of all extractors' features.
        facts: what makes the features; they name the folder within.

    Raises:
        SynthError: the folder holds features of something else.
    """

    def __init__(self, folder: Path, facts: StoreFacts) -> None:
        digest = sha256_text(repr(sorted(asdict(facts).items())))[:12]
        slug = re.sub(r"[^A-Za-z0-9.@-]+", "-", facts.extractor)[:80]
        self.folder, self.facts = folder / f"{slug}-{digest}", facts
        self._rows: list[Features] = []
        self._place: dict[bytes, tuple[int, int]] = {}
        self._known: set[str] = set()
        _agree(self.folder, facts)
        self.refresh()

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._place

    def refresh(self) -> None:
        """See what other processes have added.

        Raises:
            SynthError: a shard is damaged.
        """
        for path in sorted(self.folder.glob("*.keys")):
            if path.stem not in self._known:
                self._index(path)

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Those whose features are not here, each once, in order."""
        return [key for key in dict.fromkeys(keys) if key not in self]

    def add(self, features: Mapping[str, Features]) -> None:
        """Keep features [dim] by key; keys that are here already stay as they are.

        Raises:
            SynthError: rows of another length.
        """
        new = {key: row for key, row in features.items() if key not in self}
        if not new:
            return
        rows = np.stack([np.asarray(row, dtype=np.float32) for row in new.values()])
        if rows.shape[1:] != (self.facts.dim,):
            raise SynthError(
                "features of another length",
                where=self.folder,
                got=list(rows.shape[1:]),
                expected=[self.facts.dim],
            )
        names = b"".join(bytes.fromhex(key) for key in new)
        if len(names) != _KEY * len(new):
            raise SynthError("a key is a SHA-256", where=self.folder)
        content = io.BytesIO()
        np.save(content, rows)
        stem = hashlib.sha256(names + content.getvalue()).hexdigest()[:24]
        if not (self.folder / "facts.json").is_file():
            write_json(self.folder / "facts.json", asdict(self.facts))
        write_bytes(self.folder / f"{stem}.npy", content.getvalue())
        write_bytes(self.folder / f"{stem}.keys", names)
        self._index(self.folder / f"{stem}.keys")

    def rows(self, keys: Sequence[str]) -> Features:
        """float32 [len(keys), dim], in the order of the keys.

        Raises:
            SynthError: an image has no features here.
        """
        found = np.empty((len(keys), self.facts.dim), dtype=np.float32)
        by_shard: dict[int, list[tuple[int, int]]] = {}
        for at, key in enumerate(keys):
            place = self._place.get(bytes.fromhex(key))
            if place is None:
                raise SynthError("an image without features", where=self.folder, got=key)
            by_shard.setdefault(place[0], []).append((at, place[1]))
        for shard, places in by_shard.items():
            to, take = (np.array(part) for part in zip(*places, strict=True))
            found[to] = self._rows[shard][take]
        return found

    def merge(self, other: FeatureStore) -> int:
        """Take over the features of another store; returns how many images were new.

        Raises:
            SynthError: the other holds features of another extractor.
        """
        if other.facts != self.facts:
            raise SynthError(
                "features of different extractors cannot be merged",
                where=other.folder,
                got=_difference(asdict(other.facts), asdict(self.facts)),
            )
        new = [key for key in other.keys if key not in self]
        self.add(dict(zip(new, other.rows(new), strict=True)))
        return len(new)

    @property
    def keys(self) -> list[str]:
        """Every image that has features, as hexadecimal SHA-256."""
        return [key.hex() for key in self._place]

    def _index(self, path: Path) -> None:
        names = path.read_bytes()
        try:
            rows = np.load(path.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from None
        if len(names) % _KEY or rows.shape != (len(names) // _KEY, self.facts.dim):
            raise _damaged(path, f"{len(names)} bytes of keys, rows {list(rows.shape)}")
        shard = len(self._rows)
        self._rows.append(rows)
        self._known.add(path.stem)
        for row in range(len(rows)):
            self._place.setdefault(names[row * _KEY : (row + 1) * _KEY], (shard, row))


def _agree(folder: Path, facts: StoreFacts) -> None:
    """The folder's name is a hash of the facts; a renamed or edited one must not be believed."""
    path = folder / "facts.json"
    if not path.is_file():
        return
    try:
        held = json.loads(path.read_bytes())
    except ValueError as error:
        raise _damaged(path, error) from None
    if held != asdict(facts):
        raise SynthError(
            "the store holds features of something else",
            where=folder,
            got=_difference(held, asdict(facts)),
            fix="Delete the folder, or use another store.",
        )


def _difference(held: object, wanted: Mapping[str, object]) -> str:
    if not isinstance(held, Mapping):
        return "no facts"
    return "; ".join(
        f"{name} {held.get(name)!r} instead of {value!r}"
        for name, value in wanted.items()
        if held.get(name) != value
    )


def _damaged(path: Path, error: object) -> SynthError:
    return SynthError(
        "a damaged part of the feature store",
        where=path,
        got=error,
        fix="Delete this file: its features are then computed again.",
    )
