"""Which training texts are used, and how often: findings are raised, the rest mirrors the data."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from synth.families.facts import CATEGORIES, facts_of, words_of
from synth.manifest import Label, Row
from synth.seeding import numpy_rng

Attributes = Mapping[str, Mapping[str, str]]
_CONDITIONS = tuple(CATEGORIES)


@dataclass(frozen=True, slots=True)
class Draft:
    """A text to make images of, with what it states; drafts share dicts, which nobody changes.

    Attributes:
        text: the prompt.
        labels: what an image of it shows.
        source: the training row, or line of a file, that it comes from.
        attributes: finding -> side, severity and location, where stated.
        conditions: view, side, sex and age band, where known.
        guidance: the text's own weight, if it has one.
    """

    text: str
    labels: dict[str, Label]
    source: str
    attributes: Attributes = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)
    guidance: float | None = None


def draft_of(row: Row) -> Draft:
    """A training row's own text and labels."""
    conditions = words_of(facts_of(row, _CONDITIONS), _CONDITIONS)
    return Draft(row.text_used, row.labels, row.sample_id, row.attributes or {}, conditions)


def by_finding(drafts: Sequence[Draft], findings: Iterable[str]) -> dict[str, list[Draft]]:
    """Drafts labelled 1; uncertain and unstated ones show nothing that a label could promise."""
    showing: dict[str, list[Draft]] = {name: [] for name in findings}
    for draft in drafts:
        for name, label in draft.labels.items():
            if label == 1 and name in showing:
                showing[name].append(draft)
    return showing


class Uses:
    """How often each text, then each row, has been taken: what is least used is taken next.

    Equals are in a seeded order. Uses only grow, so an outdated entry of the heap is put back.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._uses: Counter[tuple[str, str]] = Counter()

    def heap(self, name: str, drafts: Sequence[Draft]) -> Heap:
        """The drafts to take from.

        Args:
            name: decides, with the seed, the order of equals.
            drafts: at least one.
        """
        order = numpy_rng("plan", self._seed, name).permutation(len(drafts)).tolist()
        entries = [
            (self.key(draft, place), draft.source, place, draft)
            for draft, place in zip(drafts, order, strict=True)
        ]
        heapq.heapify(entries)
        return Heap(self, entries)

    def key(self, draft: Draft, order: int) -> tuple[int, int, int]:
        """What a draft is sorted by."""
        return self._uses["prompt", draft.text], self._uses["row", draft.source], order

    def count(self, draft: Draft) -> None:
        """Remember that a draft was taken."""
        self._uses.update((("prompt", draft.text), ("row", draft.source)))


class Heap:
    """Drafts in the order in which to take them, without end."""

    def __init__(
        self, uses: Uses, entries: list[tuple[tuple[int, int, int], str, int, Draft]]
    ) -> None:
        self._uses, self._entries = uses, entries

    def take(self) -> Draft:
        """The least used draft, which is counted and put back."""
        while True:
            stored, source, place, draft = self._entries[0]
            current = self._uses.key(draft, place)
            fresh = current == stored
            if fresh:
                self._uses.count(draft)
                current = self._uses.key(draft, place)
            heapq.heapreplace(self._entries, (current, source, place, draft))
            if fresh:
                return draft


def raise_findings(
    targets: Mapping[str, int], showing: Mapping[str, Sequence[Draft]], *, seed: int
) -> list[Draft]:
    """Drafts that bring every finding to its target, rarest first: its drafts count for others."""
    chosen: list[Draft] = []
    have: Counter[str] = Counter()
    uses = Uses(seed)
    for name in sorted(targets, key=lambda finding: (len(showing[finding]), finding)):
        heap = uses.heap(name, showing[name])
        while have[name] < targets[name]:
            draft = heap.take()
            chosen.append(draft)
            have.update(finding for finding, label in draft.labels.items() if label == 1)
    return chosen


def mirror(drafts: Sequence[Draft], count: int, *, seed: int) -> list[Draft]:
    """Drafts without replacement, then all again in another order: frequencies stay natural."""
    chosen: list[Draft] = []
    cycle = 0
    while len(chosen) < count:
        order = numpy_rng("plan-mirror", seed, cycle).permutation(len(drafts))
        chosen += [drafts[i] for i in order[: count - len(chosen)]]
        cycle += 1
    return chosen
