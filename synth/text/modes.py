"""From the evidence of a report to one value a finding: two ways of counting.

``default``
    Every finding is a key. Present anywhere beats uncertain, uncertain beats absent. A probable
    statement is present, an improbable one absent. ``no_finding`` is 0 if any finding but a device
    is present, -1 if any is uncertain, 1 if any is denied or the study is called normal, else null.

``chexpert``
    The fourteen observations as CheXpert's labeller counts them (Irvin et al. 2019,
    arXiv:1901.07031; ``stages/aggregate.py`` of its code):

    - an observation gathers its parts (``PARTS``): nodules and masses are ``lung_lesion``, an
      infiltrate is ``lung_opacity``, congestion is ``edema``, a pacemaker is ``support_devices``;
      children of the published hierarchy do not fill their parents (consolidation alone leaves
      ``lung_opacity`` null), as in CheXpert's labeller;
    - absent and uncertain together are uncertain, even if it is also said to be present, because
      that case is tested first; else present beats absent and uncertain;
    - probable, improbable and "no new" statements are uncertain;
    - heart failure, present or uncertain, adds an uncertain ``cardiomegaly``;
    - "the lungs are clear" denies nothing;
    - ``no_finding`` is 1 unless a finding other than a device is present or uncertain, also one
      outside the fourteen, and else null; never 0 or -1. A text without words has no labels at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

from synth.errors import UsageError
from synth.manifest import NO_FINDING, Label
from synth.registry import did_you_mean

Mode = Literal["default", "chexpert"]
Value = Literal[1, 0, -1]

PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "atelectasis": (),
        "cardiomegaly": (),
        "consolidation": (),
        "edema": ("pulmonary_congestion", "heart_failure"),
        "enlarged_cardiomediastinum": (),
        "fracture": (),
        "lung_lesion": ("nodule", "mass", "cavity"),
        "lung_opacity": ("infiltration", "interstitial_pattern", "scarring"),
        "pleural_effusion": (),
        "pleural_other": ("pleural_thickening", "fibrosis"),
        "pneumonia": (),
        "pneumothorax": (),
        "support_devices": ("pacemaker",),
    }
)
_VALUES: Mapping[str, Value] = MappingProxyType(
    {
        "mention": 1,
        "probable": 1,
        "uncertain": -1,
        "improbable": 0,
        "negated": 0,
        "normal": 0,
    }
)
_IN_CHEXPERT = {"probable": "uncertain", "improbable": "uncertain"}


class Evidence(NamedTuple):
    """Why a label has its value: ``text[start:end]`` of the labelled text, and the rule.

    Rules are ``mention``, ``probable:<cue>``, ``uncertain:<cue>``, ``improbable:<cue>``,
    ``negated:<cue>`` and ``normal:<statement>``.
    """

    start: int
    end: int
    rule: str

    @property
    def value(self) -> Value:
        """The label value the rule stands for."""
        return _VALUES.get(self.rule.partition(":")[0], 1)


Found = dict[str, list[Evidence]]
Values = dict[str, Label]


def check_mode(mode: str) -> None:
    """Refuse an unknown mode.

    Raises:
        UsageError: it is neither ``default`` nor ``chexpert``.
    """
    if mode not in get_args(Mode):
        known = get_args(Mode)
        raise UsageError(
            "unknown labelling mode",
            got=mode,
            expected=" or ".join(known),
            fix=did_you_mean(mode, known),
        )


def aggregate(
    found: Found, names: Sequence[str], devices: frozenset[str], mode: Mode, *, worded: bool
) -> tuple[Values, Found]:
    """One value a finding, and the evidence as this mode reads it.

    Args:
        found: finding -> evidence; ``no_finding`` holds statements of a normal study.
        names: every finding the labeller knows, and ``no_finding``, in the order of the keys.
        devices: those that do not speak against ``no_finding``.
        mode: see the module.
        worded: whether the text has a sentence to label at all.
    """
    if mode == "chexpert":
        return _chexpert(found, devices, worded=worded)
    values: Values = dict.fromkeys(names)
    for name, items in found.items():
        values[name] = strongest([item.value for item in items])
    values[NO_FINDING] = _no_finding(values, devices, said=NO_FINDING in found)
    return values, found


def strongest(values: Iterable[Value]) -> Label:
    """Present beats uncertain beats absent; ``None`` of nothing."""
    present = set(values)
    return next((value for value in (1, -1, 0) if value in present), None)


def chexpert_strongest(values: Iterable[Value]) -> Label:
    """Absent and uncertain together are uncertain, even beside present; else as usual.

    >>> chexpert_strongest([0, -1, 1]), chexpert_strongest([1, -1]), chexpert_strongest([0, 1])
    (-1, 1, 1)
    """
    present = set(values)
    return -1 if {0, -1} <= present else strongest(present)


def _no_finding(values: Values, devices: frozenset[str], *, said: bool) -> Label:
    diseases = {values[name] for name in values if name not in devices and name != NO_FINDING}
    if 1 in diseases:
        return 0
    if -1 in diseases:
        return -1
    return 1 if 0 in diseases or said else None


def _chexpert(found: Found, devices: frozenset[str], *, worded: bool) -> tuple[Values, Found]:
    read = {name: _read_as_chexpert(items) for name, items in found.items()}
    gathered = {
        name: sorted(item for part in (name, *parts) for item in read.get(part, ()))
        for name, parts in PARTS.items()
    }
    gathered["cardiomegaly"] += [
        item._replace(rule="uncertain:heart failure")
        for item in read.get("heart_failure", ())
        if item.value
    ]
    values: Values = {
        name: chexpert_strongest([item.value for item in items]) for name, items in gathered.items()
    }
    abnormal = any(
        item.value
        for name, items in read.items()
        if name not in devices and name != NO_FINDING
        for item in items
    )
    values[NO_FINDING] = 1 if worded and not abnormal else None
    evidence = {name: items for name, items in gathered.items() if items}
    if NO_FINDING in found:
        evidence[NO_FINDING] = found[NO_FINDING]
    return {name: values[name] for name in sorted(values)}, evidence


def _read_as_chexpert(items: Iterable[Evidence]) -> list[Evidence]:
    return [_as_chexpert(item) for item in items if item.rule != "normal:lungs"]


def _as_chexpert(item: Evidence) -> Evidence:
    kind, _, cue = item.rule.partition(":")
    if kind == "negated" and cue.endswith(" new"):
        kind = "uncertain"
    kind = _IN_CHEXPERT.get(kind, kind)
    return item._replace(rule=f"{kind}:{cue}" if cue else kind)
