"""``synth label``: the findings of a text with their evidence, for people and line by line."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal

import typer

from synth.cli.app import Json, Traceback, app, session
from synth.errors import SynthError, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from synth.text.label import Labeler, Labels

_WORDS = {1: "present", 0: "absent", -1: "uncertain"}
_STYLES = {1: "bold red", 0: "green", -1: "yellow"}


@app.command(
    epilog='Example: synth label "Small left effusion, no pneumothorax."   '
    "(or: synth label --jsonl reports.jsonl > labels.jsonl)"
)
def label(
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="A report; - reads it from stdin.")
    ] = None,
    jsonl: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help='Label lines {"id", "text"} of a file, or of stdin with -.'
        ),
    ] = None,
    mode: Annotated[
        Literal["default", "chexpert"],
        typer.Option(help="How several mentions of a finding become one value."),
    ] = "default",
    labeler: Annotated[
        str, typer.Option(metavar="NAME", help="Who labels: the built-in rules, or a plug-in.")
    ] = "rules",
    as_json: Json = False,
    show_traceback: Traceback = False,
) -> None:
    """Label the findings of a report: 1 present, 0 absent, -1 uncertain, null not stated."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        if (text is None) == (jsonl is None):
            raise UsageError("give either a text or --jsonl", fix="See `synth label --help`.")
        if jsonl is not None and as_json:
            raise UsageError("--jsonl prints JSON lines by itself", fix="Leave out --json.")
        from synth.text.labelers import load_labeler

        chosen = load_labeler(labeler, mode)
        if jsonl is not None:
            with _lines(jsonl) as stream:
                _label_lines(stream, jsonl, chosen)
            return
        report = _stdin_text() if text == "-" else str(text)
        labels = chosen.label(report)
        facts = {"labeler": chosen.name, **_facts(report, labels), "attributes": labels.attributes}
        terminal.answer(facts, _shown(report, labels))


def _stdin_text() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SynthError(
            "the text is not UTF-8", where="stdin", got=f"byte {error.start}"
        ) from None


def _lines(name: str) -> AbstractContextManager[BinaryIO]:
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(name).open("rb")
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise SynthError("the file cannot be read", where=name, got=reason) from None


def _label_lines(stream: BinaryIO, name: str, labeler: Labeler) -> None:
    """One line of JSON for each line of JSON, as they come; blank lines are passed over."""
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        row = _row(line, f"{'stdin' if name == '-' else name}:{number}")
        labels = labeler.label(row["text"])
        made = {"id": row["id"], **_facts(row["text"], labels), "attributes": labels.attributes}
        sys.stdout.write(json.dumps(made, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _row(line: bytes, where: str) -> dict[str, Any]:
    expected = 'an object such as {"id": "17", "text": "No effusion."}'
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        problem = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "not JSON"
        raise SynthError(f"the line is {problem}", where=where, expected=expected) from None
    if not isinstance(row, dict):
        got = type(row).__name__
        raise SynthError("the line is not an object", where=where, got=got, expected=expected)
    missing = [key for key in ("id", "text") if key not in row]
    if missing:
        raise SynthError(f"the line lacks {' and '.join(missing)}", where=where, expected=expected)
    if not isinstance(row["text"], str) or not isinstance(row["id"], str | int):
        key = "id" if isinstance(row["text"], str) else "text"
        raise SynthError(
            f"`{key}` is not {'a string' if key == 'text' else 'a string or an integer'}",
            where=where,
            got=type(row[key]).__name__,
            expected=expected,
        )
    return row


def _facts(text: str, labels: Labels) -> dict[str, Any]:
    evidence = [
        {
            "finding": finding,
            "start": item.start,
            "end": item.end,
            "text": text[item.start : item.end],
            "rule": item.rule,
            "value": item.value,
        }
        for finding, items in labels.evidence.items()
        for item in items
    ]
    evidence.sort(key=lambda item: (item["start"], item["end"], item["finding"]))
    return {"labels": labels.values, "evidence": evidence}


def _shown(text: str, labels: Labels) -> list[RenderableType]:
    from synth.cli.tables import table

    rows = []
    for finding, value in labels.values.items():
        if value is None:
            continue
        items = labels.evidence.get(finding, ())
        why = [item for item in items if item.value == value] or list(items)
        words = dict.fromkeys(_printable(text[item.start : item.end], " ") for item in why)
        rules = dict.fromkeys(item.rule for item in why)
        said = labels.attributes.get(finding, {})
        stated = ", ".join(word for key, word in said.items() if not _repeats(key, said))
        rules_shown = "; ".join(rules) or "from the others"
        rows.append((finding, _WORDS[value], "; ".join(words), rules_shown, stated))
    headers = ("finding", "value", "evidence", "rule", "stated")
    silent = sum(value is None for value in labels.values.values())
    if not rows:
        return [_highlighted(text, labels), "no finding is stated"]
    return [
        _highlighted(text, labels),
        table("Findings", headers, rows, words=True),
        f"{silent} other findings are not stated",
    ]


def _repeats(key: str, said: dict[str, str]) -> bool:
    """Whether the side is told again by the location: "right" and "right lower lobe"."""
    return key == "side" and said["side"] in said.get("location", "").split()


def _highlighted(text: str, labels: Labels) -> Text:
    """The text with what is present, uncertain and absent in three colours, present on top."""
    from rich.text import Text

    shown = Text(_printable(text, "\n"))
    for value in (0, -1, 1):
        for items in labels.evidence.values():
            for item in items:
                if item.value == value:
                    shown.stylize(_STYLES[value], item.start, item.end)
    return shown


def _printable(text: str, newline: str) -> str:
    """The text, character for character, without what would steer the terminal."""
    kept = (newline if char == "\n" else char if char.isprintable() else " " for char in text)
    return "".join(kept)
