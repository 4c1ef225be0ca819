"""Where the sets of an evaluation lie and how they are known again: facts for ``scores.json``.

A path is written relative to the folder of ``scores.json``, so that folders moved together stay
together. Another set may lie at that place by then: a digest of the table, or of the names and
sizes of the files, tells. Neither decodes an image nor enters the protocol.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth.data.images_in import Picture, find_pictures
from synth.errors import SynthError
from synth.manifest import sha256_file

_DIGESTS = ("metadata_sha256", "files_sha256")


def is_statistics(path: Path) -> bool:
    """Whether a path is a statistics file rather than images."""
    return path.suffix.lower() == ".npz"


def set_facts(path: Path, out: Path | None) -> dict[str, Any]:
    """The name of a set, its path and its digest.

    Args:
        path: a dataset, a folder, archives or statistics.
        out: the folder of ``scores.json``; None writes an absolute path.
    """
    return {"folder": path.resolve().name, "path": stored_path(path, out), **set_digests(path)}


def stored_path(path: Path, out: Path | None) -> str:
    """Relative to ``out``; absolute where the two share nothing but the root, or a drive's."""
    there = path.resolve()
    if out is None:
        return there.as_posix()
    here = out.resolve()
    if here.drive != there.drive or here.parts[1:2] != there.parts[1:2]:
        return there.as_posix()
    return Path(os.path.relpath(there, here)).as_posix()


def found_path(facts: Mapping[str, Any], beside: Path | None) -> Path | None:
    """The path that ``stored_path`` wrote; None where the scores name none.

    Args:
        facts: a set's entry in ``provenance.sets`` of the scores.
        beside: the folder of ``scores.json`` today; None takes relative paths from here.
    """
    stored = facts.get("path")
    if not isinstance(stored, str) or not stored:
        return None
    return (beside or Path()).resolve() / stored


def set_digests(path: Path) -> dict[str, str | None]:
    """``metadata_sha256`` of a dataset, else ``files_sha256``; both None where there is neither."""
    table = path / "metadata.jsonl"
    if table.is_file():
        return {"metadata_sha256": sha256_file(table), "files_sha256": None}
    return {"metadata_sha256": None, "files_sha256": _files_sha256(path)}


def has_changed(path: Path, facts: Mapping[str, Any]) -> bool:
    """Whether a set is another one than the facts were written of; False where they do not tell."""
    known = {name: facts[name] for name in _DIGESTS if facts.get(name)}
    if not known:
        return False
    return not known.items() <= set_digests(path).items()


def _files_sha256(path: Path) -> str | None:
    """SHA-256 over the names and sizes of a set's images, in order; None without images."""
    if is_statistics(path):
        return None
    try:
        pictures = find_pictures(path)
    except SynthError:  # emptied while it was scored: hours of work must not end in an error
        return None
    found = hashlib.sha256()
    for picture in pictures:
        found.update(f"{picture.name}\t{_size(picture)}\n".encode(errors="surrogateescape"))
    return found.hexdigest()


def _size(picture: Picture) -> int:
    """Bytes; -1 for a link that leads nowhere, which an evaluation leaves out with a warning."""
    try:
        return picture.path.stat().st_size if picture.size is None else picture.size
    except OSError:
        return -1
