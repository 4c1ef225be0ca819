"""Synthetic images and their rows on disk: files first, then the rows that vouch for them."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sample.filters.base import Outcome
from sample.filters.record import judged_row, rejected_name
from sample.folder import TABLE, disk_errors
from sample.generate import Batch
from sample.identity import Identity
from sample.plan import PlannedRow
from sample.retry import attempt_seed
from synth.images import grey_to_u8, grid, load_grey, save_png
from synth.manifest import SyntheticRow, append_jsonl, sha256_text

SHARD = 1000  # images a folder
MARK = {"Synthetic": "YES"}  # inside every PNG, so that a file that strays still says what it is
PREVIEW_COLUMNS = 8
QUEUED = 2  # batches that wait for the disk; each is some MiB


@dataclass(frozen=True)
class _Image:
    """An image to write, and its row, which lacks the digest of the file."""

    row: SyntheticRow
    grey: NDArray[np.uint8]
    rejected: tuple[tuple[str, NDArray[np.uint8]], ...] = ()  # other attempts: file names, images


class Writer:
    """Writes batches into a dataset folder, leaving alone what is there already.

    Files are encoded and written by a thread, so that the model does not wait for the disk. It is
    at most ``QUEUED`` batches behind: whoever makes images faster than the disk takes them waits.
    Leaving the block waits for what is queued; an error of the thread comes out of the next
    ``write``, or there.

    Args:
        folder: the dataset.
        identity: what all of its images share.
        batch_size: the shape that makes them, needed to make one again bit for bit.
        kept: rows of an earlier run, by sample_id; not changed.
        known: digests of pixels that are in the dataset, beside those of ``kept``.
        png_level: of compression.
    """

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        *,
        batch_size: int,
        kept: Mapping[str, SyntheticRow],
        known: Collection[str] = (),
        png_level: int = 6,
    ) -> None:
        self.rows: list[SyntheticRow] = []  # those on disk
        self._folder, self._identity, self._batch_size = folder, identity, batch_size
        self._kept, self._level = frozenset(kept), png_level
        self._seen = {(row.model_extra or {}).get("pixel_sha256") for row in kept.values()}
        self._seen |= set(known)
        self._queue: queue.Queue[list[_Image] | None] = queue.Queue(QUEUED)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="writer", daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()
        if kind is None or kind is KeyboardInterrupt:  # else the first error is the one to tell
            self._surface()

    def has_pixels(self, pixel_sha256: str) -> bool:
        """Whether an image of these pixels is in the dataset, or on its way."""
        return pixel_sha256 in self._seen

    def write(
        self,
        planned: Sequence[PlannedRow],
        batch: Batch,
        attempts: Sequence[int] = (),
        *,
        outcomes: Sequence[Outcome | None] = (),
    ) -> int:
        """Queue the images of a batch; their rows are appended once all of them are on disk.

        Args:
            planned: one row an image.
            batch: the images.
            attempts: the attempt that each image is from; by default the first.
            outcomes: what filters say of each image, with the attempt; None for one that is kept.

        Returns:
            How many are written: those not kept.

        Raises:
            SynthError: the disk is full; an earlier batch could not be written.
        """
        self._surface()
        images = [
            self._judged(row, batch, place, outcome)
            if outcomes and (outcome := outcomes[place])
            else self._image(row, batch, place, attempts[place] if attempts else 0)
            for place, row in enumerate(planned)
            if row.sample_id not in self._kept
        ]
        self._queue.put(images)
        return len(images)

    def _surface(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _serve(self) -> None:
        """The thread: after an error it only empties the queue, so that nobody waits for it."""
        failed = False
        while (images := self._queue.get()) is not None:
            if failed:
                continue
            try:
                with disk_errors(self._folder):
                    rows = [self._save(image) for image in images]
                    append_jsonl(self._folder / TABLE, rows)
                self.rows += rows
            # Any error at all is for the thread that waits for this one
            except BaseException as error:  # noqa: BLE001
                self._error, failed = error, True

    def _judged(self, planned: PlannedRow, batch: Batch, place: int, outcome: Outcome) -> _Image:
        """An image with what filters say of it, and beside it the attempts that they rejected."""
        image = self._image(planned, batch, place, outcome.attempt)
        names = [
            rejected_name(planned.sample_id, one.attempt, batch.start + place)
            for one in outcome.rejected
        ]
        row = judged_row(image.row, outcome, names)
        if outcome.attempt:
            row = row.model_copy(update={"batch": 1})  # judged ones are made in batches of one
        kept = tuple(
            (name, one.image_u8[0].numpy())
            for name, one in zip(names, outcome.rejected, strict=True)
            if name and one.image_u8 is not None
        )
        return _Image(row, image.grey, kept)

    def _save(self, image: _Image) -> SyntheticRow:
        for name, grey in image.rejected:
            save_png(self._folder / name, grey, text=MARK, level=self._level)
        content = save_png(
            self._folder / image.row.file_name,
            image.grey,
            text=MARK | {"SampleID": image.row.sample_id},
            level=self._level,
        )
        return image.row.model_copy(update={"sha256": hashlib.sha256(content).hexdigest()})

    def _image(self, planned: PlannedRow, batch: Batch, place: int, attempt: int) -> _Image:
        grey: NDArray[np.uint8] = batch.image_u8[place, 0].numpy()
        index = batch.start + place
        name = f"images/{index // SHARD:05d}/{planned.sample_id}.png"
        pixel_sha256 = hashlib.sha256(grey.tobytes()).hexdigest()
        filters = {
            "finite": batch.finite[place],
            "not_constant": not batch.constant[place],
            "not_duplicate": pixel_sha256 not in self._seen,
        }
        row = self._row(planned, name=name, grey=grey, filters=filters)
        row = row.model_copy(
            update={
                "seed": attempt_seed(planned.seed, attempt),
                "attempt": attempt,
                "sha256": "",  # known once it is encoded; here for the order of the columns
                "pixel_sha256": pixel_sha256,
                "batch_index": 0 if attempt else place,  # one made again was made alone
            }
        )
        self._seen.add(pixel_sha256)
        return _Image(row, grey)

    def _row(
        self,
        planned: PlannedRow,
        *,
        name: str,
        grey: NDArray[np.uint8],
        filters: dict[str, bool],
    ) -> SyntheticRow:
        height, width = grey.shape
        return SyntheticRow(
            file_name=name,
            sample_id=planned.sample_id,
            split="train",
            text=planned.prompt,
            text_used=planned.prompt,
            labels=planned.labels,
            label_source="conditioned",  # asked for, not read off the image
            source=f"synthetic from {planned.source_sample_id}",
            view=planned.conditions.get("view"),
            sex=planned.conditions.get("sex"),
            age_band=planned.conditions.get("age_band"),
            width=width,
            height=height,
            seed=planned.seed,
            prompt_hash=sha256_text(planned.prompt),
            weights_sha256=self._identity.weights_sha256,
            config_sha256=self._identity.config_sha256,
            solver=self._identity.solver,
            steps=self._identity.steps,
            guidance=self._identity.guidance if planned.guidance is None else planned.guidance,
            filters=filters,
            source_sample_id=planned.source_sample_id,
            precision=self._identity.precision,
            batch=self._batch_size,
            conditions=planned.conditions,
        )


def write_previews(folder: Path, rows: Sequence[SyntheticRow], count: int) -> None:
    """Write ``previews.png``: the first images of the dataset, which are a fair mix of it."""
    images = [grey_to_u8(load_grey(folder / row.file_name)) for row in rows[:count]]
    columns = min(PREVIEW_COLUMNS, len(images))
    save_png(folder / "previews.png", grid(np.stack(images), columns), text=MARK)
