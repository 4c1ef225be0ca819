"""Two evaluations side by side, or the reason why their numbers cannot be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from metrics.difference import Difference, of_aurocs, of_records
from metrics.multiplicity import holm_by_name
from metrics.protocol import differences
from metrics.records import Interval
from synth.errors import SynthError

LEVEL = 0.05
_NAMED = 5  # differences told; the rest is counted
_GROUPED = ("per_finding", "per_subgroup")
_NEGATION = "alignment.negation."
_COUNTS = ("n_real", "n_synthetic")
_HIGHER = {"r1": True, "r5": True, "median_rank": False}
SPREADS = {  # part: score of an arm: whether higher is better
    "retrieval": {
        f"{way}.{score}": higher
        for way in ("report_to_image", "image_to_report")
        for score, higher in _HIGHER.items()
    },
    "segmentation": {"dice": True, "sensitivity": True, "false_alarms": False},
}


@dataclass(frozen=True)
class Row:
    """One metric in both runs.

    Attributes:
        name: of the metric, after the part it stands in: ``kd_pixel``, ``per_finding.nodule.kd``.
        first: its value in the first run.
        second: its value in the second.
        difference: second minus first.
        ci: 95 % interval of the difference; None where a run gives no standard error.
        better: ``first``, ``second``, or empty where that cannot be told.
        paired: whether the interval takes out what both runs share; else it is wider than need be.
        p: two-sided, that there is no difference.
        p_holm: the same, corrected for all findings, or all subgroups, that share the metric;
            ``better`` then rests on it.
    """

    name: str
    first: float
    second: float
    difference: float
    ci: Interval | None
    better: str
    paired: bool = False
    p: float | None = None
    p_holm: float | None = None


@dataclass(frozen=True)
class Comparison:
    """What two runs scored by one protocol say of each other.

    ``not_compared`` says for which parts of both runs a comparison would mislead, and why.
    """

    fingerprint: str
    rows: tuple[Row, ...]
    only_in_one: tuple[str, ...]
    not_compared: tuple[str, ...]
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
    other_n = [name for name in shared if _other_group_size(name, one, two)]
    shared = [name for name in shared if name not in other_n]
    _refuse_other_protocol(_of(one, shared), _of(two, shared))
    if not shared:
        raise SynthError("the two runs have no metric in common")
    not_compared = [f"{name}: other images in the group" for name in other_n]
    rows = list(_record_rows(shared, first, second, not_compared))
    rows += _fidelity_rows(first, second, not_compared)
    rows += _arm_rows("utility", first, second)
    if "probe" in shared:
        rows += _arm_rows("probe", first, second)
    for part, scores in SPREADS.items():
        if part in shared:
            rows += _spread_rows(part, scores, first, second)
    return Comparison(
        fingerprint=one["fingerprint"],
        rows=tuple(_corrected(rows)),
        only_in_one=tuple(sorted(set(one["records"]) ^ set(two["records"]))),
        not_compared=tuple(not_compared),
        notes=(*_texts(first, second), *_software(first, second)),
    )


def _protocol(scores: Mapping[str, Any], which: str) -> Mapping[str, Any]:
    protocol = scores.get("protocol")
    if not isinstance(protocol, Mapping) or "records" not in protocol:
        raise SynthError(
            f"the {which} run was scored without a protocol",
            fix="Score it again with `synth evaluate`.",
        )
    return protocol


def _refuse_other_protocol(one: Mapping[str, Any], two: Mapping[str, Any]) -> None:
    found = list(differences(one, two))
    if not found:
        return
    rest = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    raise SynthError(
        "scored by different protocols, so the numbers do not compare",
        got="; ".join(found[:_NAMED]) + rest,
        expected="equal in all but the synthetic images",
        fix="Score both again with the same references, options and N.",
    )


def _of(protocol: Mapping[str, Any], shared: list[str]) -> dict[str, Any]:
    rest = {key: value for key, value in protocol.items() if key not in ("fingerprint", "records")}
    return {**rest, "records": {name: protocol["records"][name] for name in shared}}


def _other_group_size(name: str, one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    """Plans may ask for a finding more or less often: its row is left out, the rest compares."""
    left, right = one["records"][name], two["records"][name]
    return name.startswith((*_GROUPED, _NEGATION)) and any(left[n] != right[n] for n in _COUNTS)


def _record_rows(
    names: list[str], first: Mapping[str, Any], second: Mapping[str, Any], skipped: list[str]
) -> Iterator[Row]:
    for name in names:
        one, two = _at(first, name), _at(second, name)
        if not isinstance(one, Mapping) or not isinstance(two, Mapping):
            continue
        if _widths(one) != _widths(two):
            skipped.append(f"{name}: the widths of the kernels differ")
            continue
        if _mismatches(one) != _mismatches(two):
            skipped.append(f"{name}: mismatched texts were drawn from other images")
            continue
        found = of_records(name.rpartition(".")[2], one, two)
        if found is not None:
            yield _row(name, one["value"], two["value"], found, one.get("higher_is_better"))


def _at(scores: Mapping[str, Any], name: str) -> Any:
    """``fd_pixel`` of the metrics, ``memorization.auc``, ``per_subgroup.sex.F.kd``."""
    held = scores.get("metrics") or {}
    return held[name] if name in held else _within(scores, name)


def _within(held: Mapping[str, Any], path: str) -> Any:
    """The part at a path of keys joined by dots; a key may hold dots itself."""
    if path in held:
        return held[path]
    for key, value in held.items():
        if path.startswith(f"{key}.") and isinstance(value, Mapping):
            found = _within(value, path[len(key) + 1 :])
            if found is not None:
                return found
    return None


def _widths(record: Mapping[str, Any]) -> Any:
    return (record.get("details") or {}).get("bandwidths")


def _mismatches(record: Mapping[str, Any]) -> Any:
    return (record.get("details") or {}).get("mismatches")


def _fidelity_rows(
    first: Mapping[str, Any], second: Mapping[str, Any], skipped: list[str]
) -> Iterator[Row]:
    one, two = first.get("label_fidelity"), second.get("label_fidelity")
    if not one or not two:
        return
    if _judge(first) != _judge(second):
        skipped.append("label_fidelity: judged by different classifiers")
        return
    pairs = {"macro": (one.get("macro"), two.get("macro"))}
    for name in one.get("findings") or {}:
        pairs[f"findings.{name}"] = (one["findings"][name], (two.get("findings") or {}).get(name))
    for name, (left, right) in pairs.items():
        found = of_aurocs(left, right) if left and right else None
        if found is not None:
            where = f"label_fidelity.{name}.auroc"
            yield _row(where, left["auroc"], right["auroc"], found, higher=True)


def _judge(scores: Mapping[str, Any]) -> Any:
    return ((scores.get("provenance") or {}).get("judge") or {}).get("sha256")


def _arm_rows(part: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Row]:
    """Arms on the same test patients; without each patient's probabilities they do not pair."""
    one, two = ((scores.get(part) or {}).get("arms") or {} for scores in (first, second))
    for name in one:
        found = of_aurocs(one[name], two[name], "macro_auroc") if name in two else None
        if found is not None:
            values = one[name]["macro_auroc"], two[name]["macro_auroc"]
            yield _row(f"{part}.{name}.macro_auroc", *values, found, higher=True)


def _spread_rows(
    part: str, scores: Mapping[str, bool], first: Mapping[str, Any], second: Mapping[str, Any]
) -> Iterator[Row]:
    """Arms scored by means over images: errors of each run, since patients do not pair."""
    one, two = ((held.get(part) or {}).get("arms") or {} for held in (first, second))
    for name in one:
        for score, higher in scores.items():
            left, right = _within(one[name], score), _within(two.get(name) or {}, score)
            found = of_records(score, left, right) if left and right else None
            if found is not None:
                where = f"{part}.{name}.{score}"
                yield _row(where, left["value"], right["value"], found, higher)


def _row(name: str, one: float, two: float, found: Difference, higher: bool | None) -> Row:
    ci, better = found.ci, ""
    if ci is not None and higher is not None and (ci[0] > 0 or ci[1] < 0):
        better = "second" if (found.value > 0) == higher else "first"
    return Row(name, one, two, found.value, ci, better, found.paired, found.p)


def family(name: str) -> str:
    """The family of tests that a row is one of: its part and metric; empty for a single row."""
    part, _, rest = name.partition(".")
    if part in _GROUPED or rest.startswith(("findings.", "negation.findings.")):
        return f"{part}.{name.rpartition('.')[2]}"
    return ""


def _corrected(rows: list[Row]) -> Iterator[Row]:
    """Holm within each family; of a family only what stays significant is called better."""
    families: dict[str, dict[str, float | None]] = {}
    for row in rows:
        families.setdefault(family(row.name), {})[row.name] = row.p
    corrected = {key: holm_by_name(held) for key, held in families.items() if key}
    for row in rows:
        if not (key := family(row.name)):
            yield row
            continue
        p = corrected[key][row.name]
        yield replace(row, p_holm=p, better=row.better if p is not None and p < LEVEL else "")


def _texts(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    """Other texts are harder or easier to match, whatever the generator."""
    one, two = ((scores.get("alignment") or {}).get("texts") for scores in (first, second))
    if not one or not two:
        return
    for side in ("synthetic", "real"):
        if (one.get(side) or {}).get("sha256") != (two.get(side) or {}).get("sha256"):
            yield f"alignment: the {side} texts of the two runs differ, and so may be harder"


def _software(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    versions = [(scores.get("provenance") or {}).get("versions", {}) for scores in (first, second)]
    return [f"other software: {text}" for text in differences(*versions)]
