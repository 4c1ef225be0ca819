"""Synthetic images and their rows on disk: files first, then the rows that vouch for them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sample.folder import TABLE
from sample.generate import Batch
from sample.identity import Identity
from sample.plan import PlannedRow
from sample.retry import attempt_seed
from synth.images import grey_to_u8, grid, load_grey, save_png
from synth.manifest import SyntheticRow, append_jsonl, sha256_text

SHARD = 1000  # images a folder
MARK = {"Synthetic": "YES"}  # inside every PNG, so that a file that strays still says what it is
PREVIEW_COLUMNS = 8


class Writer:
    """Writes batches into a dataset folder, leaving alone what is there already.

    Args:
        folder: the dataset.
        identity: what all of its images share.
        batch_size: the shape that makes them, needed to make one again bit for bit.
        kept: rows of an earlier run, by sample_id; not changed.
    """

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        *,
        batch_size: int,
        kept: Mapping[str, SyntheticRow],
    ) -> None:
        self._folder, self._identity, self._batch_size = folder, identity, batch_size
        self._kept = frozenset(kept)
        self._seen = {(row.model_extra or {}).get("pixel_sha256"): row for row in kept.values()}

    def has_pixels(self, pixel_sha256: str) -> bool:
        """Whether an image of these pixels is in the dataset."""
        return pixel_sha256 in self._seen

    def write(
        self, planned: Sequence[PlannedRow], batch: Batch, attempts: Sequence[int] = ()
    ) -> list[SyntheticRow]:
        """Write the images of a batch, then append their rows.

        Args:
            planned: one row an image.
            batch: the images.
            attempts: the attempt that each image is from; by default the first.

        Returns:
            The rows written.
        """
        rows = [
            self._write_image(row, batch, place, attempts[place] if attempts else 0)
            for place, row in enumerate(planned)
            if row.sample_id not in self._kept
        ]
        append_jsonl(self._folder / TABLE, rows)
        return rows

    def _write_image(
        self, planned: PlannedRow, batch: Batch, place: int, attempt: int
    ) -> SyntheticRow:
        grey: NDArray[np.uint8] = batch.image_u8[place, 0].numpy()
        index = batch.start + place
        name = f"images/{index // SHARD:05d}/{planned.sample_id}.png"
        content = save_png(self._folder / name, grey, text=MARK | {"SampleID": planned.sample_id})
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
                "sha256": hashlib.sha256(content).hexdigest(),
                "pixel_sha256": pixel_sha256,
                "batch_index": 0 if attempt else place,  # one made again was made alone
            }
        )
        self._seen.setdefault(pixel_sha256, row)
        return row

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
