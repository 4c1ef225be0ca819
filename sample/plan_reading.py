"""What the labeller reads in a planned text, in the names that the dataset uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar, cast

from sample.plan_draw import Attributes, Draft
from synth.families.facts import side_of
from synth.manifest import NO_FINDING, Label, Row
from synth.text import Labeler, RuleLabeler
from synth.text.modes import Mode
from synth.text.statements import stated

_DETAILS = ("side", "severity")
_KEPT = 1 << 12  # texts remembered
T = TypeVar("T")

Statements = frozenset[tuple[str, int]]
Details = frozenset[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Read:
    """What a text states.

    Attributes:
        labels: of the dataset's findings.
        attributes: finding -> side, severity and location.
        present: what is present or possible, with its value.
        details: side and severity of these.
        absent: findings said to be absent.
        normal: the text calls the study as a whole normal.
    """

    labels: dict[str, Label]
    attributes: Attributes
    present: Statements
    details: Details
    absent: frozenset[str]
    normal: bool

    @property
    def meaning(self) -> tuple[Statements, Details]:
        """What another wording must state too; what is absent may go unsaid."""
        return self.present, self.details


class Reader:
    """Labels texts; equal answers share their dicts, so that a million rows fit into memory.

    Args:
        names: the labels that a row has.
        labeler: what reads.
    """

    def __init__(self, names: Iterable[str], labeler: Labeler) -> None:
        self.names = tuple(names)
        self.labeler = labeler
        self.read = lru_cache(_KEPT)(self._read)
        self._labels: dict[tuple[Label, ...], dict[str, Label]] = {}
        self._shared: dict[object, object] = {}

    def _read(self, text: str) -> Read:
        found = self.labeler.label(text)
        values = tuple(found.values.get(name) for name in self.names)
        labels = self._labels.setdefault(values, dict(zip(self.names, values, strict=True)))
        present = stated(found.values)
        named = {name for name, _ in present}
        details = frozenset(
            (name, kind, stated_of[kind])
            for name, stated_of in found.attributes.items()
            for kind in _DETAILS
            if name in named and kind in stated_of
        )
        absent = frozenset(name for name, _ in stated(found.values, (0,)))
        normal = bool(found.evidence.get(NO_FINDING))
        sets = (self._one(present), self._one(details), self._one(absent))
        said = {name: tuple(sorted(found.attributes[name].items())) for name in found.attributes}
        attributes = self._share(tuple(said.items()), found.attributes)
        return Read(labels, attributes, *sets, normal)

    def _one(self, value: T) -> T:
        """The first of all equal values."""
        return self._share(value, value)

    def _share(self, key: object, value: T) -> T:
        return cast(T, self._shared.setdefault((type(value), key), value))

    def worded(self, draft: Draft, text: str) -> Draft:
        """The draft with another text, labelled and described by it; its guidance stays."""
        read = self.read(text)
        conditions = with_side(draft.conditions, read.labels, read.attributes)
        return replace(
            draft,
            text=text,
            labels=read.labels,
            attributes=read.attributes,
            conditions=self._share(tuple(conditions.items()), conditions),
        )


def with_side(
    conditions: Mapping[str, str], labels: Mapping[str, Label], attributes: Attributes
) -> dict[str, str]:
    """Conditions whose side is that of the findings that are present."""
    said = {name: dict(details) for name, details in attributes.items()}
    row = Row.model_construct(
        file_name="", sample_id="", split="train", labels=dict(labels), attributes=said
    )
    side = side_of(row)
    others = {name: value for name, value in conditions.items() if name != "side"}
    return others | ({"side": side} if side else {})


def labeler_of(rows: Sequence[Row]) -> Labeler:
    """The built-in labeller, counting as the rows' labels were counted."""
    sources = Counter(row.label_source for row in rows)
    source = sources.most_common(1)[0][0] if sources else ""
    mode: Mode = "chexpert" if source.endswith("-chexpert") else "default"
    return RuleLabeler(mode)
