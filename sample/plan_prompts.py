"""The user's own texts, from a CSV, JSONL or TXT file; labels are given, or the labeller's."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sample.plan_draw import Draft
from sample.plan_reading import Reader, with_side
from synth.errors import UsageError
from synth.families.facts import CATEGORIES
from synth.manifest import NO_FINDING, Dataset, Label, read_jsonl
from synth.registry import did_you_mean

_TEXT = ("text", "prompt")
_VALUES: Mapping[object, Label] = {"1": 1, "0": 0, "-1": -1, "": None, "none": None, "null": None}
_LISTED = 4  # texts that a note names


def read_prompts(
    path: Path, findings: Sequence[str], reader: Reader
) -> tuple[list[Draft], list[str]]:
    """Drafts in the order of the file, and notes.

    A TXT file has one text a line. A CSV file has a column ``text`` (or ``prompt``), a column for
    each finding that is labelled (1, 0, -1 or empty), and, where wanted, ``guidance``, ``view``,
    ``side``, ``sex`` and ``age_band``. A JSONL file has the same keys, or ``labels`` with an object
    or a list of what is present. A row without any label is labelled by the labeller.

    Args:
        path: the file.
        findings: names that may be labelled.
        reader: the labeller in the dataset's names.

    Raises:
        UsageError: it cannot be read, has no text, or a column or value is unknown.
    """
    known = {*findings, NO_FINDING}
    drafts = [_draft(path, line, raw, known, reader) for line, raw in _rows(path)]
    if not drafts:
        raise UsageError("the file has no text", where=path)
    silent = [
        draft.source for draft in drafts if not any(v is not None for v in draft.labels.values())
    ]
    notes = []
    if silent:
        notes.append(f"the labeller finds nothing in {_some(silent)}: their labels stay unknown")
    against = list(_contradictions(drafts, reader))
    if against:
        notes.append(f"labels say otherwise than the labeller reads: {_some(against)}")
    return drafts, notes


def prompt_notes(drafts: Sequence[Draft], dataset: Dataset) -> list[str]:
    """What the user should know of texts that did not come from the training split."""
    training = {row.text_used.strip() for row in dataset.split("train")}
    held = {row.text_used.strip() for row in dataset.split("val", "test")} - training
    leaked = [draft.source for draft in drafts if draft.text in held]
    notes = []
    if leaked:
        notes.append(
            f"texts of the validation or test split, word for word: {_some(leaked)}: "
            "scores against these splits will be too good"
        )
    asked = {name for draft in drafts for name, value in draft.labels.items() if value == 1}
    shown = {n for row in dataset.split("train") for n, v in row.labels.items() if v == 1}
    unseen = sorted(asked - shown - {NO_FINDING})
    if unseen:
        notes.append(f"no training image shows {', '.join(unseen)}: the model has not learnt it")
    return notes


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and rows, empty ones left out."""
    kind = path.suffix.lower()
    if not path.is_file():
        raise UsageError("no such file", where=path, expected="a .csv, .jsonl or .txt file")
    try:
        if kind == ".jsonl":
            yield from enumerate(read_jsonl(path), 1)
        elif kind in (".csv", ".txt"):
            with path.open(encoding="utf-8-sig", newline="") as file:
                if kind == ".csv":
                    table = csv.DictReader(file, restkey="", strict=True)
                    yield from ((table.line_num, row) for row in table)
                else:
                    lines = enumerate(file, 1)
                    yield from ((n, {"text": line}) for n, line in lines if line.strip())
        else:
            raise UsageError("not a file of prompts", where=path, expected=".csv, .jsonl or .txt")
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError("not a UTF-8 text file", where=path, got=error) from None


def _draft(path: Path, line: int, raw: dict[str, Any], known: set[str], reader: Reader) -> Draft:
    where = f"{path.name}:{line}"
    names = {*known, *_TEXT, "labels", "guidance", *CATEGORIES}
    for name in raw:
        if name not in names:
            raise UsageError(
                "the row has more values than the header" if not name else "unknown column",
                where=where,
                got=name,
                expected="`text`, `labels`, `guidance`, a condition or a finding of the dataset",
                fix=did_you_mean(str(name), names),
            )
    text = " ".join(str(next((raw[name] for name in _TEXT if raw.get(name)), "")).split())
    if not text:
        raise UsageError("no text", where=where, expected="a value for `text`")
    given = _given(where, raw, known)
    read = reader.read(text)
    labels = read.labels
    if any(value is not None for value in given.values()):
        labels = dict.fromkeys(reader.names) | given
    conditions = {name: _category(where, name, raw[name]) for name in CATEGORIES if raw.get(name)}
    if "side" not in conditions:
        conditions = with_side(conditions, labels, read.attributes)
    guidance = _guidance(where, raw.get("guidance"))
    return Draft(text, labels, where, read.attributes, conditions, guidance)


def _given(where: str, raw: dict[str, Any], known: set[str]) -> dict[str, Label]:
    labels = raw.get("labels") or {}
    if isinstance(labels, str):
        try:
            labels = json.loads(labels)
        except ValueError:
            labels = [name.strip() for name in labels.split(";")]
    if isinstance(labels, list):
        labels = dict.fromkeys(map(str, labels), 1)
    if not isinstance(labels, dict):
        raise UsageError("not labels", where=where, got=labels, expected="an object or a list")
    labels = labels | {name: raw[name] for name in known if name in raw}
    return {name: _value(where, name, labels[name], known) for name in sorted(labels)}


def _value(where: str, name: str, value: object, known: set[str]) -> Label:
    if name not in known:
        raise UsageError(
            "the dataset has no such finding", where=where, got=name, fix=did_you_mean(name, known)
        )
    plain = str(value).strip().lower().removesuffix(".0")
    if plain not in _VALUES:
        raise UsageError(
            f"bad label for `{name}`", where=where, got=value, expected="1, 0, -1 or empty"
        )
    return _VALUES[plain]


def _category(where: str, name: str, value: object) -> str:
    if value not in CATEGORIES[name]:
        expected = "one of " + ", ".join(CATEGORIES[name])
        raise UsageError(f"bad `{name}`", where=where, got=value, expected=expected)
    return str(value)


def _guidance(where: str, value: object) -> float | None:
    if value in (None, ""):
        return None
    try:
        weight = float(str(value))
    except ValueError:
        weight = 0.0
    if not 1.0 <= weight < float("inf"):
        raise UsageError("bad `guidance`", where=where, got=value, expected="1 (off) or more")
    return weight


def _contradictions(drafts: Iterable[Draft], reader: Reader) -> Iterator[str]:
    for draft in drafts:
        read = reader.read(draft.text).labels
        for name, value in draft.labels.items():
            if name != NO_FINDING and {value, read.get(name)} == {0, 1}:
                yield f"{name} {value} in {draft.source}"


def _some(words: Sequence[str]) -> str:
    more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    return ", ".join(words[:_LISTED]) + more
