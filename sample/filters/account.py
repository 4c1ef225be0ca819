"""What filters took and left of a dataset, in numbers and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sample.filters.record import rejected_attempts
from synth.manifest import NO_FINDING, SyntheticRow


def account(rows: Sequence[SyntheticRow]) -> dict[str, Any]:
    """Attempts and images that were accepted, over all and by finding.

    Returns:
        ``images`` in the dataset and those ``accepted``; ``attempts`` made for them, and the
        ``accept_rate`` of attempts; ``rejected_by``, attempts a filter refused (one attempt may
        count for several); ``findings``, the same of images asked to show each.
    """
    names = sorted({name for row in rows for name in row.labels} - {NO_FINDING})
    shown = {name: [row for row in rows if row.labels.get(name) == 1] for name in names}
    return _counted(rows) | {
        "rejected_by": dict(sorted(Counter(_failed(rows)).items())),
        "findings": {name: _counted(found) for name, found in shown.items() if found},
    }


def sentences(counts: Mapping[str, Any]) -> list[str]:
    """The account in words: for a terminal and for the README."""
    accepted, images = counts["accepted"], counts["images"]
    refused = counts["attempts"] - counts["attempts_accepted"]
    by = ", ".join(f"{name} {number}" for name, number in counts["rejected_by"].items())
    found = [
        f"{accepted} of {images} images pass every filter; {refused} of {counts['attempts']} "
        f"attempts were rejected" + (f" ({by})" if by else "")
    ]
    short = {
        name: one["images"] - one["accepted"]
        for name, one in counts["findings"].items()
        if one["accepted"] < one["images"]
    }
    if accepted < images:
        named = ", ".join(f"{name} {number}" for name, number in sorted(short.items()))
        found.append(
            "the retry budget ended before the quota held: "
            f"{images - accepted} images short" + (f" ({named})" if named else "")
        )
    return found


def section(counts: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """The README's section."""
    rows = [
        f"| {name} | {one['images']} | {one['accepted']} | {one['attempts']} "
        f"| {one['accept_rate']:.0%} |"
        for name, one in counts["findings"].items()
    ]
    settings = record["settings"]
    active = [name for name, value in settings.items() if value is True]
    active += ["alignment"] if settings.get("alignment") else []
    text = [
        "## Filters\n",
        ". ".join(one[0].upper() + one[1:] for one in sentences(counts)) + ".\n",
        f"On: {', '.join(active)}. Limits are those that reject {settings['reject']:.1%} of real "
        "validation images a filter; they are in `dataset.json`. Every row has its scores "
        "(`filter_scores`), why it was rejected (`rejected_because`) and the other attempts "
        "(`rejected_attempts`). Rejected images stay in the table: keep the rows whose `filters` "
        "are all true.\n",
    ]
    if rows:
        head = "| finding | images | accepted | attempts | accept rate |\n|---|---:|---:|---:|---:|"
        text.append("\n".join([head, *rows]) + "\n")
    if counts["attempts_accepted"] < counts["attempts"]:
        text.append("![rejected images, with reasons](rejected.png)\n")
    return "\n".join(text) + "\n"


def _counted(rows: Sequence[SyntheticRow]) -> dict[str, Any]:
    accepted = sum(all(row.filters.values()) for row in rows)
    attempts = len(rows) + sum(len(rejected_attempts(row)) for row in rows)
    return {
        "images": len(rows),
        "accepted": accepted,
        "attempts": attempts,
        "attempts_accepted": accepted,
        "accept_rate": round(accepted / attempts, 4) if attempts else 0.0,
    }


def _failed(rows: Iterable[SyntheticRow]) -> Iterable[str]:
    for row in rows:
        yield from (name for name, good in row.filters.items() if not good)
        for one in rejected_attempts(row):
            yield from one["failed"]
