"""The end of a filtered dataset: images that look like an earlier one are made again, in order.

Image after image in the order of the plan is compared with those accepted before it. Where it looks
like one, its next attempts are made until one passes every filter. What is settled stays so: a run
that was killed here walks the plan again, finds its own images and goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sample.filters.base import PASSED
from sample.filters.near_duplicates import Met, reason
from sample.filters.record import rejected_attempts, rejected_name, with_verdict
from sample.folder import TABLE, write_table
from sample.retry import Attempted, JudgedRetry
from sample.shards_make import Job, asked_of, judged_retry
from sample.write import MARK
from synth.images import grey_to_u8, load_grey, save_png
from synth.manifest import SyntheticRow, append_jsonl

_KEY = PASSED["near_duplicates"]


def settle(job: Job, rows: Sequence[SyntheticRow]) -> list[SyntheticRow]:
    """Decide on near-duplicates, and write the table.

    Args:
        job: with filters.
        rows: all rows of the dataset, in the order of the plan.

    Returns:
        The rows as they end.
    """
    if job.judge is None or not job.judge.settings.near_duplicates:
        return list(rows)
    walk = _Walk(job)
    ended = [walk.settled(index, row) for index, row in enumerate(rows)]
    write_table(job.out, ended)
    return ended


class _Walk:
    def __init__(self, job: Job) -> None:
        self._job, self._met = job, Met()
        self._retry: JudgedRetry = judged_retry(job)

    def settled(self, index: int, row: SyntheticRow) -> SyntheticRow:
        row = _undecided(row)
        near = self._met.nearest(row.phash)
        if near is None:
            row = row.model_copy(update={"filters": row.filters | {_KEY: True}})
        elif all(row.filters.values()):
            row = self._mended(index, row, reason(near))
        else:  # rejected for something else, and its attempts are used up
            row = _rejected(row, reason(near))
        if all(row.filters.values()):
            self._met.add(row.sample_id, row.phash)
        return row

    def _mended(self, index: int, row: SyntheticRow, why: str) -> SyntheticRow:
        """The row of the first attempt that passes, else of the image as it was, rejected."""
        planned = self._job.plan.rows[index]
        asked = asked_of(planned, self._job.config.model.conditions)
        tried = rejected_attempts(row)
        for number in range(row.attempt + 1, self._retry.attempts + 1):
            found = self._retry.attempt(asked, planned, number, _never)
            near = self._met.nearest(found.verdict.phash)
            if near is None and found.good:
                own = self._keep_own(index, row, why)
                return self._replaced(row, found, [*tried, own])
            tried.append(self._keep(index, row, found, None if near is None else reason(near)))
        return _rejected(row, why).model_copy(update={"rejected_attempts": tried})

    def _replaced(
        self, row: SyntheticRow, found: Attempted, rejected: list[dict[str, Any]]
    ) -> SyntheticRow:
        """Put another attempt in the place of a row's image; the file first, then the row."""
        grey = found.image_u8[0].numpy()
        content = self._save(row.file_name, grey, SampleID=row.sample_id)
        pixels = hashlib.sha256(grey.tobytes()).hexdigest()
        own = {
            "seed": found.seed,
            "attempt": found.attempt,
            "sha256": hashlib.sha256(content).hexdigest(),
            "pixel_sha256": pixels,
            "batch_index": 0,
            "batch": 1,
        }
        ordered = sorted(rejected, key=lambda one: int(one["attempt"]))
        made = with_verdict(row.model_copy(update=own), found.verdict, ordered)
        made = made.model_copy(update={"filters": made.filters | {_KEY: True}})
        append_jsonl(self._job.out / TABLE, [made])
        return made

    def _keep_own(self, index: int, row: SyntheticRow, why: str) -> dict[str, Any]:
        """A row's image as a rejected attempt, before another one takes its file."""
        name = rejected_name(row.sample_id, row.attempt, index)
        if name:
            self._save(name, grey_to_u8(load_grey(self._job.out / row.file_name)))
        values: dict[str, Any] = {
            "attempt": row.attempt,
            "seed": row.seed,
            "failed": [_KEY],
            "reasons": [why],
            "scores": (row.model_extra or {}).get("filter_scores", {}),
        }
        return values | ({"file_name": name} if name else {})

    def _keep(
        self, index: int, row: SyntheticRow, found: Attempted, why: str | None
    ) -> dict[str, Any]:
        """Another attempt that is not better."""
        name = rejected_name(row.sample_id, found.attempt, index)
        if name:
            self._save(name, found.image_u8[0].numpy())
        one = found.rejected()
        if why is not None:
            one = replace(one, failed=(*one.failed, _KEY), reasons=(*one.reasons, why))
        return one.to_json(name)

    def _save(self, name: str, grey: NDArray[np.uint8], **text: str) -> bytes:
        level = self._job.config.sample.png_level
        return save_png(self._job.out / name, grey, text=MARK | text, level=level)


def _never(pixel_sha256: str) -> bool:
    """Equal pixels have equal hashes: the walk meets them as near-duplicates."""
    del pixel_sha256
    return False


def _undecided(row: SyntheticRow) -> SyntheticRow:
    """A row as it was before an earlier walk rejected its image: that is found out again."""
    if row.filters.get(_KEY, True):
        return row
    extra = row.model_extra or {}
    filters = {name: value for name, value in row.filters.items() if name != _KEY}
    update: dict[str, Any] = {
        "filters": filters,
        "rejected_because": extra["rejected_because"][:-1],
    }
    if all(filters.values()):  # then the walk made the attempts after its own
        kept = [one for one in rejected_attempts(row) if one["attempt"] < row.attempt]
        update["rejected_attempts"] = kept
    return row.model_copy(update=update)


def _rejected(row: SyntheticRow, why: str) -> SyntheticRow:
    because = [*(row.model_extra or {}).get("rejected_because", []), why]
    return row.model_copy(
        update={"filters": row.filters | {_KEY: False}, "rejected_because": because}
    )
