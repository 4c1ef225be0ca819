"""The contents of a source: files with the same bytes are one image under several paths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from synth.data.inputs import Input
from synth.dicom import Unreadable
from synth.manifest import sha256_file
from synth.progress import Progress


@dataclass(frozen=True)
class Content:
    """One file's bytes.

    Attributes:
        first: the path that stands for all, the first by name.
        sha256: of the bytes.
        state: size and time of change when they were hashed.
        copies: the other paths with the same bytes.
    """

    first: Input
    sha256: str
    state: tuple[int, int]
    copies: tuple[Input, ...] = ()

    def check_unchanged(self) -> None:
        """Make sure that what was converted is what was hashed.

        Raises:
            Unreadable: ``changed_during_read`` or ``io_error``.
        """
        try:
            state = read_state(self.first.path)
        except OSError as error:
            raise vanished(error) from None
        if state != self.state:
            raise Unreadable(
                "changed_during_read",
                "the file was written to while it was read",
                "Run the same command again when nothing writes to the source",
            )


def read_contents(
    items: Iterable[Input], total: int, progress: Progress
) -> tuple[list[Content], list[tuple[Input, Unreadable]]]:
    """Hash files; returns contents in the order of their first paths, and what cannot be read."""
    firsts: dict[str, tuple[Input, tuple[int, int]]] = {}
    copies: dict[str, list[Input]] = {}
    refused: list[tuple[Input, Unreadable]] = []
    for done, item in enumerate(items, 1):
        try:
            state = read_state(item.path)
            sha256 = sha256_file(item.path)
        except OSError as error:
            refused.append((item, vanished(error)))
            continue
        if sha256 in firsts:
            copies.setdefault(sha256, []).append(item)
        else:
            firsts[sha256] = item, state
        progress.update(done, total)
    contents = [
        Content(first, sha256, state, tuple(copies.get(sha256, ())))
        for sha256, (first, state) in firsts.items()
    ]
    return contents, refused


def vanished(error: OSError) -> Unreadable:
    """The refusal of a file that the system does not let us read."""
    return Unreadable(
        "io_error",
        f"cannot be read: {error.strerror or type(error).__name__}",
        "Check that the file is there and may be read, then run the same command again",
    )


def read_state(path: Path) -> tuple[int, int]:
    """Size in bytes, and time of the last change in nanoseconds."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns
