"""What filters leave in the row of an image, and where the attempts that they rejected are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sample.filters.base import Outcome, Verdict
from synth.manifest import SyntheticRow

EXAMPLES = 1000  # rows at the beginning of the plan whose rejected attempts are kept as files
FOLDER = "rejected"


def rejected_name(sample_id: str, attempt: int, index: int) -> str:
    """File name of a rejected attempt at the image of an index; empty where it is not kept.

    The beginning of a plan is a fair mix of it, and which row comes first depends on nothing else.
    """
    return f"{FOLDER}/{sample_id}-{attempt}.png" if index < EXAMPLES else ""


def judged_row(row: SyntheticRow, outcome: Outcome, names: Sequence[str]) -> SyntheticRow:
    """A row with what filters say of its image.

    Args:
        row: with the checks that need no calibration in ``filters``.
        outcome: of the attempts.
        names: file name of each rejected attempt, empty where it is not kept.
    """
    rejected = [one.to_json(name) for one, name in zip(outcome.rejected, names, strict=True)]
    return with_verdict(row, outcome.verdict, rejected)


def with_verdict(
    row: SyntheticRow, verdict: Verdict, rejected: Sequence[dict[str, Any]]
) -> SyntheticRow:
    """A row with a verdict and the attempts that were rejected, as JSON."""
    return row.model_copy(
        update={
            "filters": row.filters | verdict.passed,
            "phash": verdict.phash,
            "nearest_real_distance": verdict.scores.get("nearest_train_pixel"),
            "filter_scores": verdict.scores,
            "rejected_because": list(verdict.reasons),
            "rejected_attempts": list(rejected),
        }
    )


def rejected_attempts(row: SyntheticRow) -> list[dict[str, Any]]:
    """The attempts at a row's image that filters rejected, beside its own."""
    return list((row.model_extra or {}).get("rejected_attempts") or [])


def rejected_files(row: SyntheticRow) -> list[str]:
    """Names of the files of those attempts that are kept."""
    return [one["file_name"] for one in rejected_attempts(row) if one.get("file_name")]
