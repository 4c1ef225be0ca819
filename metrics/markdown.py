"""``scores.md``: the verdict and every number with its interval, floor and N, to read or paste.

Tables follow the structure and not a list of names: whatever section of ``scores.json`` holds
records is shown, so that a metric added there cannot be forgotten here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from metrics.numbers_within import areas_within, records_within, spreads_within
from metrics.report_values import (
    NONE,
    Scores,
    count,
    finite,
    interval,
    items,
    number,
    part,
    sentence,
    words,
)
from metrics.verdict import verdict
from synth.manifest import write_bytes, write_json

_NOT_TABLES = ("verdict", "protocol", "provenance", "not_computed", "warnings", "schema_version")
_RECORDS = (
    *("", "value", "95 % interval", "at floor's N", "floor (real against real)"),
    *("N real / synthetic", "note"),
)
_AREAS = ("", "AUROC", "95 % interval", "on real images", "gain", "95 % interval of the gain")
_SPREADS = ("", "value", "95 % interval", "gain", "95 % interval of the gain", "note")
_WORST = ("image", "why it is here", "finding", "score", "limit", "other image")
_TEXTS = (
    "",
    "note",
    "column",
    "worst",
    "best",
    "image",
    "why it is here",
    "finding",
    "other image",
)
_GAPS = ("column", "worst", "best", "difference", "95 % interval", "p")


def scores_markdown(scores: Scores) -> str:
    """The content of ``scores.json`` as Markdown, ending with a line break."""
    blocks = [*_verdict(scores)]
    for name in scores:
        if name in _NOT_TABLES or not part(scores, name):
            continue
        tables = [text for text in _section(name, part(scores, name)) if text]
        if tables:
            blocks += [f"## {sentence(words(name)).rstrip('.')}", *tables]
    worst = [one for one in items(scores, "failures") if isinstance(one, Mapping)]
    if worst:
        blocks += ["## Worst images", _table(_WORST, [_failure_row(one) for one in worst])]
    blocks += _remarks(scores)
    return "\n\n".join(blocks) + "\n"


def write_scores(folder: Path, scores: Scores) -> None:
    """Write ``scores.json`` and ``scores.md``, each whole or not at all."""
    write_json(folder / "scores.json", scores)
    write_bytes(folder / "scores.md", scores_markdown(scores).encode())


def _verdict(scores: Scores) -> Iterator[str]:
    found = verdict(scores)
    sets = part(scores, "provenance", "sets")
    made, real = (part(sets, side).get("folder") or side for side in ("synthetic", "real"))
    yield f"# {_plain(made)} against {_plain(real)}"
    yield f"**{found.headline}**"
    for title, lines in (
        ("Safe to conclude:", found.safe),
        ("Not safe to conclude, and why:", found.unsafe),
    ):
        if lines:
            yield title
            yield "\n".join(f"- {line.says} {sentence(_plain(line.why))}" for line in lines)


def _section(name: str, held: Scores) -> Iterator[str]:
    records = [_record_row(path, record) for path, record in records_within(held)]
    yield _table(_RECORDS, records)
    yield _table(_SPREADS, [_spread_row(path, row) for path, row in spreads_within(held)])
    yield _table(_AREAS, [_area_row(path, row) for path, row in areas_within(held)])
    if name == "subgroup_gaps":
        yield _table(_GAPS, [_gap_row(column, part(held, column)) for column in held])


def _record_row(path: str, record: Scores) -> list[str]:
    floor = part(record, "floor")
    mark = f"{number(floor.get('value'))} (N {count(floor.get('n'))})" if floor else NONE
    sizes = f"{count(record.get('n_real'))} / {count(record.get('n_synthetic'))}"
    value, ends = number(record.get("value")), interval(record.get("ci"))
    same = number(floor.get("synthetic_at_same_n"))  # what the floor is to be read against
    return [path, value, ends, same, mark, sizes, str(record.get("note") or "")]


def _area_row(path: str, row: Scores) -> list[str]:
    value = row.get("auroc") if "auroc" in row else row.get("macro_auroc")
    gain, ends = row.get("delta"), row.get("delta_ci")
    if finite(gain) is None:
        gain, ends = row.get("difference"), row.get("difference_ci")
    return [
        path,
        number(value),
        interval(row.get("ci")),
        number(row.get("real_auroc")),
        number(gain, sign=True),
        interval(ends, sign=True),
    ]


def _spread_row(path: str, row: Scores) -> list[str]:
    return [
        path,
        number(row.get("value")),
        interval(row.get("ci")),
        number(row.get("delta"), sign=True),
        interval(row.get("delta_ci"), sign=True),
        str(row.get("note") or ""),
    ]


def _failure_row(row: Scores) -> list[str]:
    return [
        str(row.get("synthetic")),
        words(str(row.get("reason"))),
        words(str(row.get("finding") or "")),
        number(row.get("score")),
        number(row.get("limit")),
        str(row.get("other") or ""),
    ]


def _gap_row(column: str, gap: Scores) -> list[str]:
    value, ends = number(gap.get("value")), interval(gap.get("ci"))
    return [
        words(column),
        str(gap.get("worst")),
        str(gap.get("best")),
        value,
        ends,
        number(gap.get("p")),
    ]


def _remarks(scores: Scores) -> Iterator[str]:
    if lines := [f"- {_plain(text)}" for text in items(scores, "warnings")]:
        yield "## Warnings"
        yield "\n".join(lines)
    missing = [one for one in items(scores, "not_computed") if isinstance(one, Mapping)]
    if missing:
        yield "## Not computed"
        yield "\n".join(f"- {_plain(one.get('what'))}: {_plain(one.get('why'))}" for one in missing)


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, without columns that no row fills; empty without rows."""
    kept = [list(row) for row in rows]
    if not kept:
        return ""
    columns = [
        at
        for at in range(len(headers))
        if at == 0 or any(row[at] not in ("", NONE) for row in kept)
    ]
    lines = [
        [headers[at] for at in columns],
        ["---" if headers[at] in _TEXTS else "--:" for at in columns],
    ]
    lines += [[_plain(row[at]) for at in columns] for row in kept]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: Any) -> str:
    """One line that no table, list or HTML reads as its own: names and reasons are others' text."""
    flat = " ".join(str(text).split())
    return flat.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
