"""Two evaluations side by side, or the reason why their numbers cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

from metrics.protocol import differences
from synth.errors import SynthError

_NAMED = 5  # differences told; the rest is counted
_Z = 1.959963984540054  # of a 95 % interval


@dataclass(frozen=True)
class Row:
    """One metric in both runs.

    Attributes:
        name: of the metric.
        first: its value in the first run.
        second: its value in the second.
        difference: second minus first.
        ci: 95 % interval of the difference, as if the runs were independent; they share the real
            images, so that it is wider than need be. None where a run gives no standard error.
        better: ``first``, ``second``, or empty where the interval holds 0 or is missing.
    """

    name: str
    first: float
    second: float
    difference: float
    ci: tuple[float, float] | None
    better: str


@dataclass(frozen=True)
class Comparison:
    """What two runs scored by one protocol say of each other."""

    fingerprint: str
    rows: tuple[Row, ...]
    only_in_one: tuple[str, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON types only."""
        return asdict(self)


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> Comparison:
    """Compare the contents of two ``scores.json``.

    Raises:
        SynthError: they were scored by different protocols, with what differs, or without one.
    """
    one, two = _protocol(first, "first"), _protocol(second, "second")
    shared = [name for name in one["records"] if name in two["records"]]
    found = list(differences(_of(one, shared), _of(two, shared)))
    if found:
        rest = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise SynthError(
            "scored by different protocols, so the numbers do not compare",
            got="; ".join(found[:_NAMED]) + rest,
            expected="equal in all but the synthetic images",
            fix="Score both again with the same references, options and N.",
        )
    if not shared:
        raise SynthError("the two runs have no metric in common")
    rows = [_row(name, _record(first, name), _record(second, name)) for name in shared]
    return Comparison(
        fingerprint=one["fingerprint"],
        rows=tuple(row for row in rows if row is not None),
        only_in_one=tuple(sorted(set(one["records"]) ^ set(two["records"]))),
        notes=tuple(_software(first, second)),
    )


def _protocol(scores: Mapping[str, Any], which: str) -> Mapping[str, Any]:
    protocol = scores.get("protocol")
    if not isinstance(protocol, Mapping) or "records" not in protocol:
        raise SynthError(
            f"the {which} run was scored without a protocol",
            fix="Score it again with `synth evaluate`.",
        )
    return protocol


def _of(protocol: Mapping[str, Any], shared: list[str]) -> dict[str, Any]:
    rest = {key: value for key, value in protocol.items() if key not in ("fingerprint", "records")}
    return {**rest, "records": {name: protocol["records"][name] for name in shared}}


def _record(scores: Mapping[str, Any], name: str) -> Any:
    """``fd_pixel`` of the metrics, or ``memorization.auc``."""
    section, dot, key = name.partition(".")
    held = scores.get(section if dot else "metrics")
    return held.get(key if dot else name) if isinstance(held, Mapping) else None


def _row(name: str, one: Any, two: Any) -> Row | None:
    if not isinstance(one, Mapping) or not isinstance(two, Mapping):
        return None
    if one.get("value") is None or two.get("value") is None:
        return None
    difference = two["value"] - one["value"]
    ci, better = None, ""
    if one.get("se") is not None and two.get("se") is not None:
        half = _Z * sqrt(one["se"] ** 2 + two["se"] ** 2)
        ci = (difference - half, difference + half)
        higher = one.get("higher_is_better")
        if higher is not None and (ci[0] > 0 or ci[1] < 0):
            better = "second" if (difference > 0) == higher else "first"
    return Row(name, one["value"], two["value"], difference, ci, better)


def _software(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    versions = [(scores.get("provenance") or {}).get("versions", {}) for scores in (first, second)]
    return [f"other software: {text}" for text in differences(*versions)]
