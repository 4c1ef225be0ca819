"""Whose words a plan uses: the training reports' own, their sentences recombined, or templates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sample.plan_draw import Attributes, Draft, draft_of
from sample.plan_reading import Reader, labeler_of, with_side
from sample.plan_recombine import Recombiner
from sample.plan_templates import Templates
from synth.config.schema import PlanSection
from synth.errors import UsageError
from synth.manifest import Dataset, Label, Row
from synth.text import Labeler

_TRIES = 8  # templates for a text that recombining cannot make new
Meaning = tuple[frozenset[tuple[str, Label]], frozenset[tuple[str, str, str]]]


@dataclass(frozen=True)
class Wording:
    """Drafts to choose from, and how the chosen ones are worded.

    Attributes:
        drafts: one a training row.
        word: the chosen drafts to what is planned, one each.
        notes: on rows that cannot be used.
        says: whether a text can be made of a draft's labels alone; None: texts are those of rows.
    """

    drafts: list[Draft]
    word: Callable[[list[Draft]], list[Draft]]
    notes: list[str]
    says: Callable[[Draft], bool] | None = None


def wording_of(
    settings: PlanSection,
    dataset: Dataset,
    rows: Sequence[Row],
    *,
    seed: int,
    labeler: Labeler | None = None,
) -> Wording:
    """What ``recombine`` and ``templates`` ask for.

    Args:
        settings: of the plan.
        dataset: for its label names, and the texts that must not come out again.
        rows: of the training split, with a text.
        seed: of the run.
        labeler: reads the texts; by default the built-in one.

    Raises:
        UsageError: no text can be worded anew.
    """
    drafts = [draft_of(row) for row in rows]
    if not (settings.recombine or settings.templates):
        return Wording(drafts, lambda chosen: chosen, [])
    names = sorted({name for row in dataset.rows for name in row.labels})
    reader = Reader(names, labeler or labeler_of(rows))
    templates = Templates(reader, seed=seed)
    if settings.templates:
        says = _sayable(templates)
        kept, notes = _expressible(drafts, says)
        return Wording(kept, lambda chosen: _anew(chosen, templates, None), notes, says)
    known = (text for row in dataset.rows for text in (row.text_used, row.text) if text)
    recombine = Recombiner(known, reader, seed=seed)

    def instead(draft: Draft, index: int) -> Draft | None:
        """A template of the text's labels, and of what the row's whole report denies."""
        denied: dict[str, Label] = {
            n: v for n, v in own[draft.source].items() if v == 0 and not draft.labels.get(n)
        }
        for attempt in range(_TRIES):
            made = templates(replace(draft, labels=draft.labels | denied), index + attempt)
            if made is not None and recombine.is_new(made.text):
                return made
        return None

    own = {draft.source: draft.labels for draft in drafts}
    drafts = [recombine.learn(draft) for draft in drafts]
    return Wording(drafts, lambda chosen: _anew(chosen, recombine, instead), [])


def _anew(
    chosen: Sequence[Draft],
    make: Callable[[Draft, int], Draft | None],
    instead: Callable[[Draft, int], Draft | None] | None,
) -> list[Draft]:
    """Every draft in other words; one that cannot be is worded as another that means the same."""
    worded: list[Draft | None] = []
    same: dict[Meaning, Draft] = {}
    for index, draft in enumerate(chosen):
        made = make(draft, index) or (instead(draft, index) if instead else None)
        worded.append(made)
        if made is not None:
            same.setdefault(_meaning(draft.labels, draft.attributes), made)
            same.setdefault(_meaning(draft.labels, {}), made)
    return [made or _borrowed(draft, same) for draft, made in zip(chosen, worded, strict=True)]


def _borrowed(draft: Draft, same: dict[Meaning, Draft]) -> Draft:
    """Another draft's new text: of the same side and severity, or else of the same findings."""
    keys = (_meaning(draft.labels, draft.attributes), _meaning(draft.labels, {}))
    other = next((same[key] for key in keys if key in same), None)
    if other is None:
        raise UsageError(
            "this training text cannot be worded anew so that the labeller reads the same",
            where=draft.source,
            got=repr(draft.text[:80]),
            fix="Leave sample.plan.recombine and sample.plan.templates off.",
        )
    conditions = with_side(draft.conditions, other.labels, other.attributes)
    return replace(other, source=draft.source, conditions=conditions, guidance=draft.guidance)


def _sayable(templates: Templates) -> Callable[[Draft], bool]:
    """Whether a template can say a draft's labels; tried once for each label set."""
    works: dict[Meaning, bool] = {}

    def says(draft: Draft) -> bool:
        key = _meaning(draft.labels, draft.attributes)
        if key not in works:
            works[key] = templates(draft, 0) is not None
        return works[key]

    return says


def _expressible(
    drafts: Sequence[Draft], says: Callable[[Draft], bool]
) -> tuple[list[Draft], list[str]]:
    kept = [draft for draft in drafts if says(draft)]
    if not kept:
        raise UsageError(
            "no label set of the training split can be put into words",
            where="sample.plan.templates",
            fix="Leave sample.plan.templates off.",
        )
    left = len(drafts) - len(kept)
    return kept, [f"{left} training rows have labels that no template says"] if left else []


def _meaning(labels: dict[str, Label], attributes: Attributes) -> Meaning:
    """What is present or possible, with side and severity."""
    present = frozenset((n, v) for n, v in labels.items() if v in (1, -1))
    details = frozenset(
        (name, kind, said[kind])
        for name, said in attributes.items()
        if labels.get(name) in (1, -1)
        for kind in ("side", "severity")
        if kind in said
    )
    return present, details
