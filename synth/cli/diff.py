"""``synth diff``: two evaluations side by side, refused where they do not compare."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth.cli.app import Json, Traceback, app, session
from synth.cli.tables import interval, number, p_value, table

if TYPE_CHECKING:
    from metrics.compare import Comparison, Row

HEADERS = ("metric", "first", "second", "difference", "95 % interval", "p", "paired", "better")
_SECTIONS = {
    "per_finding": "Per finding; p is corrected (Holm)",
    "per_subgroup": "Per subgroup; p is corrected (Holm)",
    "alignment": "Image-text alignment; p of findings is corrected (Holm)",
    "label_fidelity": "Label fidelity, AUROC; p of findings is corrected (Holm)",
    "utility": "Downstream utility",
    "probe": "Probe: logistic regression on frozen features",
    "retrieval": "Retrieval utility",
    "segmentation": "Segmentation utility",
}
_GROUPED = ("per_finding.", "per_subgroup.", "alignment.negation.findings.")

First = Annotated[Path, typer.Argument(metavar="RUN", help="A run, or its scores.json.")]
Second = Annotated[Path, typer.Argument(metavar="RUN", help="Another one.")]
Out = Annotated[Path | None, typer.Option(metavar="FILE.md", help="Write the tables as Markdown.")]


@app.command(epilog="Example: synth diff run-a run-b")
def diff(
    first: First,
    second: Second,
    out: Out = None,
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Compare two evaluations, paired by what they share; refused where protocols differ."""
    compared(first, second, out, as_json=as_json, show_traceback=show_traceback)


def compared(
    first: Path, second: Path, out: Path | None, *, as_json: bool, show_traceback: bool
) -> None:
    """The body of ``synth diff`` and of ``synth evaluate compare``."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        from metrics.compare import compare
        from synth.cli.score import find_scores, read_scores
        from synth.manifest import write_bytes

        one, two = (
            read_scores(path if path.is_file() else find_scores(path)) for path in (first, second)
        )
        found = compare(one, two)
        written = []
        if out is not None:
            write_bytes(out, markdown(found, str(first), str(second)).encode())
            written = [f"written: {out}"]
        terminal.answer(found.to_json(), [*_shown(found), *written])


def markdown(found: Comparison, first: str, second: str) -> str:
    """All tables and remarks as Markdown."""
    lines = [f"# {second} against {first}", "", f"Protocol {found.fingerprint}.", ""]
    for title, rows in _tables(found):
        lines += [f"## {title}", "", _line(HEADERS), _line(["---"] * len(HEADERS))]
        lines += [_line(_cells(row)) for row in rows]
        lines.append("")
    remarks = list(_remarks(found))
    lines += [f"- {text}" for text in remarks]
    return "\n".join(lines).rstrip() + "\n"


def _line(cells: Any) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _shown(found: Comparison) -> list[Any]:
    """The terminal's share: of findings and subgroups kernel distance and what differs."""
    shown: list[Any] = []
    for title, rows in _tables(found):
        kept = [row for row in rows if _matters(row)]
        if kept:
            shown.append(table(title, HEADERS, [_cells(row) for row in kept]))
        if len(kept) < len(rows):
            shown.append(f"{len(rows) - len(kept)} more rows without a difference: --json, --out")
    return [*shown, *_remarks(found)]


def _matters(row: Row) -> bool:
    grouped = row.name.startswith(_GROUPED)
    return not grouped or bool(row.better) or row.name.endswith((".kd", ".auroc"))


def _tables(found: Comparison) -> Iterator[tuple[str, list[Row]]]:
    """Rows by the part of the scores they stand in; p of a family is corrected (Holm)."""
    by_part: dict[str, list[Row]] = {"": []}
    for row in found.rows:
        part = row.name.partition(".")[0]
        by_part.setdefault(part if part in _SECTIONS else "", []).append(row)
    for part, rows in by_part.items():
        if rows:
            yield _SECTIONS.get(part, "Second against first"), rows


def _cells(row: Row) -> tuple[str, ...]:
    part, _, rest = row.name.partition(".")
    p = row.p if row.p_holm is None else row.p_holm
    return (
        _short(part, rest) if part in _SECTIONS else row.name,
        number(row.first),
        number(row.second),
        number(row.difference),
        interval(row.ci) or "–",
        p_value(p),
        "yes" if row.paired else "no",
        row.better,
    )


def _short(part: str, rest: str) -> str:
    """``edema`` for ``findings.edema.auroc``; ``nodule kd``, which breaks between words."""
    name, _, metric = rest.rpartition(".")
    if part == "label_fidelity":
        return name.removeprefix("findings.")
    if part == "retrieval":
        arm, _, way = name.rpartition(".")
        return f"{arm}: {way.replace('_', ' ')} {metric.replace('_', ' ')}"
    if part == "alignment":
        name = name.replace("negation.findings.", "negation ").replace(".", " ")
    return name if metric == "macro_auroc" else f"{name} {metric}".strip()


def _remarks(found: Comparison) -> Iterator[str]:
    for name in _collapsed(found.only_in_one):
        yield f"only in one run: {name}"
    reasons: dict[str, list[str]] = {}
    for text in found.not_compared:
        name, _, why = text.partition(": ")
        reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        yield f"not compared: {', '.join(names[:2])}{more}: {why}"
    yield from found.notes


def _collapsed(names: tuple[str, ...]) -> list[str]:
    """``per_finding.hernia`` once, not once a metric."""
    kept = (n.rpartition(".")[0] if n.startswith(_GROUPED) else n for n in names)
    return list(dict.fromkeys(kept))
