"""Where curves and previews go beside ``log.jsonl``: nowhere, or to TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from synth.errors import Unavailable, UsageError
from synth.images import load_grey

NAMES = ("none", "tensorboard")
EXTRA = 'pip install "medical-image-synthesis[tensorboard]"'


class Tracker(Protocol):
    """Takes what a run measures; the horizontal axis is images seen."""

    def scalars(self, images_seen: int, values: Mapping[str, float]) -> None:
        """Numbers by name, such as ``train/loss``."""

    def picture(self, images_seen: int, name: str, path: Path) -> None:
        """A grey image file."""

    def resume(self, images_seen: int) -> None:
        """The run goes on from here: what was tracked after it happens again."""

    def close(self) -> None:
        """Write what is still held."""


class NoTracker:
    """A ``Tracker`` that keeps nothing."""

    def scalars(self, images_seen: int, values: Mapping[str, float]) -> None:
        """Ignore the numbers."""

    def picture(self, images_seen: int, name: str, path: Path) -> None:
        """Ignore the image."""

    def resume(self, images_seen: int) -> None:
        """Ignore it."""

    def close(self) -> None:
        """Nothing is held."""


class TensorBoard:
    """A ``Tracker`` that writes TensorBoard's event files.

    Args:
        folder: for ``tensorboard --logdir``.
        writer: ``torch.utils.tensorboard.SummaryWriter``, or what is called as it.
    """

    def __init__(self, folder: Path, writer: Any) -> None:
        self._folder, self._make = folder, writer
        self._purge: int | None = None
        self._open: Any = None

    def scalars(self, images_seen: int, values: Mapping[str, float]) -> None:
        """See ``Tracker``."""
        for name, value in values.items():
            self._writer().add_scalar(name, value, images_seen)

    def picture(self, images_seen: int, name: str, path: Path) -> None:
        """See ``Tracker``."""
        self._writer().add_image(name, load_grey(path), images_seen, dataformats="HW")

    def resume(self, images_seen: int) -> None:
        """Hide events after this point, which an interrupted session wrote and this one repeats."""
        self.close()
        self._purge = images_seen + 1

    def close(self) -> None:
        """See ``Tracker``."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _writer(self) -> Any:
        """Opened by the first value, when it is known where the run goes on."""
        if self._open is None:
            self._open = self._make(log_dir=str(self._folder), purge_step=self._purge)
        return self._open


def open_tracker(name: str, folder: Path) -> Tracker:
    """The tracker a configuration names.

    Args:
        name: one of ``NAMES``.
        folder: where it may write.

    Raises:
        UsageError: no tracker has that name.
        Unavailable: its package is not installed.
    """
    if name == "none":
        return NoTracker()
    if name != "tensorboard":
        raise UsageError(
            "unknown tracker", where="train.tracker", got=name, expected=", ".join(NAMES)
        )
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise Unavailable(
            "TensorBoard is not installed",
            where="train.tracker",
            got=name,
            fix=f"{EXTRA}, or train.tracker=none: log.jsonl has the same numbers.",
        ) from None
    return TensorBoard(folder, SummaryWriter)
