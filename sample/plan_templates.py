"""Texts made from labels alone: one short sentence a finding, verified by the labeller."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from sample.plan_draw import Attributes, Draft
from sample.plan_reading import Reader
from synth.manifest import NO_FINDING, Label
from synth.seeding import numpy_rng

_WORDS: Mapping[str, str] = MappingProxyType(
    {"costophrenic_blunting": "blunting of the costophrenic angle"}
)
_PRESENT = ("{x}.", "There is {x}.", "{x} is seen.", "{x} is present.")
_POSSIBLE = ("Possible {x}.", "Cannot exclude {x}.", "{x} is possible.", "Suspected {x}.")
_ABSENT = ("No {x}.", "There is no {x}.")
_NORMAL = (
    "No acute cardiopulmonary abnormality.",
    "Normal chest.",
    "No acute cardiopulmonary process.",
)
_DENIED = 2  # absent findings that a text spells out at most
_TRIES = 8


def template_text(
    labels: Mapping[str, Label], attributes: Attributes, rng: np.random.Generator
) -> str:
    """A text for these labels: what is present and possible, and up to two of what is absent.

    >>> template_text({"edema": 1}, {"edema": {"severity": "mild"}}, numpy_rng("doc", 1))
    'There is mild edema.'
    """
    named = {name: value for name, value in labels.items() if name != NO_FINDING}
    parts = [
        _sentence(_PRESENT if value == 1 else _POSSIBLE, name, attributes.get(name, {}), rng)
        for name, value in named.items()
        if value in (1, -1)
    ]
    if not parts and labels.get(NO_FINDING) == 1:
        parts = [_NORMAL[int(rng.integers(len(_NORMAL)))]]
    absent = [name for name, value in named.items() if value == 0]
    denied = int(rng.integers(0, _DENIED + 1)) if parts else _DENIED
    parts += [_sentence(_ABSENT, absent[i], {}, rng) for i in rng.permutation(len(absent))[:denied]]
    return " ".join(parts[i] for i in rng.permutation(len(parts)))


class Templates:
    """Words a draft by template.

    Args:
        reader: verifies what is made.
        seed: of the run.
    """

    def __init__(self, reader: Reader, *, seed: int) -> None:
        self._reader, self._seed = reader, seed

    def __call__(self, draft: Draft, index: int) -> Draft | None:
        """A text for the draft's labels, sides and severities.

        Args:
            draft: a label set of a real row.
            index: place in the plan; another one gives another wording.

        Returns:
            The draft with text, and the labels that the text states; None if the labeller reads
            none of the tries as it was meant.
        """
        wanted = {(n, v) for n, v in draft.labels.items() if v in (1, -1) and n != NO_FINDING}
        for attempt in range(_TRIES):
            rng = numpy_rng("template", self._seed, index, attempt)
            text = template_text(draft.labels, draft.attributes, rng)
            read = self._reader.read(text)
            if text and read.present == wanted and _described(draft, read.attributes):
                return self._reader.worded(draft, text)
        return None


def _described(draft: Draft, attributes: Attributes) -> bool:
    """Whether side and severity of what is present were read as they were asked for."""
    return all(
        attributes.get(name, {}).get(kind) == details[kind]
        for name, details in draft.attributes.items()
        if draft.labels.get(name) in (1, -1)
        for kind in ("side", "severity")
        if kind in details
    )


def _sentence(
    forms: tuple[str, ...], name: str, details: Mapping[str, str], rng: np.random.Generator
) -> str:
    words = [details[kind] for kind in ("severity", "side") if kind in details]
    words.append(_WORDS.get(name, name.replace("_", " ")))
    sentence = forms[int(rng.integers(len(forms)))].format(x=" ".join(words))
    return sentence[0].upper() + sentence[1:]
