"""Training pairs as the model will see them: the first of the run's own order, texts as cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synth.config.schema import Config
from synth.families.base import Family
from synth.families.facts import facts_of, words_of
from synth.manifest import Dataset, Row
from train.captions import variants
from train.examples import prompt_of
from train.order import Order, sampling_probabilities

PAIRS = 10


@dataclass(frozen=True)
class Pair:
    """An image and what conditions the model on it.

    Attributes:
        row: the image.
        text: what fits of its prompt.
        cut: what does not fit and is never read.
        findings: labelled as present.
        conditions: view, sex, … by name, where the model takes them and the row states them.
        wordings: how many texts it has, its own included.
    """

    row: Row
    text: str
    cut: str
    findings: tuple[str, ...]
    conditions: dict[str, str]
    wordings: int


def first_pairs(config: Config, dataset: Dataset, family: Family) -> list[Pair]:
    """The first ``PAIRS`` different images that this configuration presents."""
    rows = dataset.split("train")
    labels = [row.labels for row in rows]
    data = config.data
    order = Order(sampling_probabilities(labels, data.balance, data.weights), seed=config.run.seed)
    wanted = min(PAIRS, len(rows))
    chosen: dict[int, None] = {}
    for position in range(100 * PAIRS):  # with weights some images come again and again
        if len(chosen) == wanted:
            break
        chosen[order.row(position)] = None
    return [_pair(config, rows[index], family) for index in chosen]


def _pair(config: Config, row: Row, family: Family) -> Pair:
    text, cut = split_text(family, prompt_of(row))
    names = config.model.conditions
    return Pair(
        row=row,
        text=text,
        cut=cut,
        findings=tuple(name for name, value in row.labels.items() if value == 1),
        conditions=words_of(facts_of(row, names), names),
        wordings=1 + len(variants(prompt_of(row), config.train.caption_variants)),
    )


def split_text(family: Family, text: str) -> tuple[str, str]:
    """The words of a text that fit, and the others; the last word is cut where a part of it is."""
    if family.truncated([text]) == [0]:
        return text, ""
    words = text.split(" ")
    fits, too_many = 0, len(words)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if family.truncated([_joined(words[:middle])]) == [0]:
            fits = middle
        else:
            too_many = middle
    return _joined(words[:fits]), _joined(words[fits:])


def _joined(words: Sequence[str]) -> str:
    return " ".join(words)
