"""The tables of the page: every score with its interval, its floor, its N and its meaning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from metrics.report_charts import Dots
from metrics.report_values import (
    NONE,
    Scores,
    bounds,
    count,
    finite,
    interval,
    number,
    part,
    sentence,
    words,
)

_MEANINGS = {
    "fd": "Fréchet distance between the feature distributions: 0 is identical, and even two halves "
    "of the real images are not.",
    "kd": "Kernel distance between the feature distributions: 0 is identical, unbiased at small N.",
    "precision": "Share of synthetic images that lie among the real ones: how believable they are.",
    "recall": "Share of real images that lie among the synthetic ones: how much variety they have.",
    "density": "How crowded the real images' surroundings are with synthetic ones; 1 is natural.",
    "coverage": "Share of real images with a synthetic one close by.",
    "auc": "How well nearness to a training image tells synthetic from held-out real images; "
    "0.5 is no sign of copying.",
    "share_closer": "Share of synthetic images nearer to a training image than held-out real ones "
    "usually are.",
    "gain": "Change of a classifier's mean AUROC on held-out real patients, against training on "
    "real images alone for as many gradient steps. An interval that holds 0 shows no difference.",
    "psnr": "What the autoencoder alone keeps of a real image; the ceiling of sharpness.",
}
_NAMES = {
    "fd": "Fréchet distance",
    "kd": "kernel distance",
    "auc": "memorization AUC",
    "share_closer": "closer to training than held-out",
    "psnr": "autoencoder PSNR (dB)",
}


_LEVEL = 0.05  # of the family of findings


@dataclass(frozen=True)
class HeadlineRow:
    """One score, as text."""

    name: str
    detail: str
    value: str
    ci: str
    floor: str
    same_n: str
    n: str
    meaning: str
    note: str = ""


@dataclass(frozen=True)
class FidelityRow:
    """Label fidelity of one finding, as text."""

    name: str
    before: str
    after: str
    ci: str
    real: str
    real_ci: str
    n: str
    gain: str
    detected: str
    detected_real: str


@dataclass(frozen=True)
class Cell:
    """One arm's AUROC on a finding, and what it adds to training on real images."""

    auroc: str
    ci: str
    delta: str
    delta_ci: str


@dataclass(frozen=True)
class UtilityRow:
    """A finding, or an arm's mean, over the arms."""

    name: str
    n: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class UtilityArm:
    """An arm's other scores, as text."""

    name: str
    auprc: str
    ece: str
    brier: str
    changed: str
    worst: str
    group: str
    missed: str
    gap: str
    between: str


def headline(scores: Scores) -> tuple[HeadlineRow, ...]:
    """Every score of the whole dataset."""
    rows = [_record_row(name, record) for name, record in _records(part(scores, "metrics"))]
    rows += _fidelity_headline(scores)
    rows += _utility_headline(scores)
    for group, keys in (("memorization", ("auc", "share_closer")), ("reconstruction", ("psnr",))):
        found = part(scores, group)
        rows += [_record_row(key, part(found, key)) for key in keys if part(found, key)]
    return tuple(rows)


def _records(metrics: Scores) -> Iterator[tuple[str, Scores]]:
    for name in metrics:
        if record := part(metrics, name):
            yield name, record


def _record_row(name: str, record: Scores) -> HeadlineRow:
    kind, _, extractor = name.partition("_") if name[:3] in ("fd_", "kd_") else (name, "", "")
    floor = part(record, "floor")
    counts = [count(record.get(side)) for side in ("n_real", "n_synthetic")]
    if kind == "psnr":  # of real images alone
        counts[1] = NONE
    digits = 1 if kind == "psnr" else None
    return HeadlineRow(
        name=_NAMES.get(kind, words(kind)),
        detail=f"{words(extractor)} features" if extractor else "",
        value=number(record.get("value"), digits),
        ci=interval(record.get("ci"), digits),
        floor=f"{number(floor.get('value'))} (N {count(floor.get('n'))})" if floor else NONE,
        same_n=number(floor.get("synthetic_at_same_n")),
        n=" / ".join(counts),
        meaning=sentence(record.get("meaning") or _MEANINGS.get(kind, "")) + _direction(record),
        note=sentence(record.get("note")),
    )


def _direction(record: Scores) -> str:
    better = record.get("higher_is_better")
    if not isinstance(better, bool):
        return ""
    return " Higher is better." if better else " Lower is better."


def _fidelity_headline(scores: Scores) -> list[HeadlineRow]:
    rows = []
    for key, detail in (("label_fidelity_before", "before"), ("label_fidelity", "after")):
        macro = part(scores, key, "macro")
        if finite(macro.get("auroc")) is None:
            continue
        findings = part(scores, key, "findings")
        real = number(macro.get("real_auroc"))
        meaning = (
            "Mean AUROC of a classifier trained on real images, asked whether an image shows what "
            "its text says. The column of real against real gives the same judge on real images."
        )
        row = HeadlineRow(
            name="label fidelity",
            detail=f"{detail} fine-tuning, mean over {_mean_over(macro, findings)} findings",
            value=number(macro.get("auroc")),
            ci=interval(macro.get("ci")),
            floor=real,
            same_n=NONE,
            n=NONE,
            meaning=meaning if detail == "after" else "The same judge on the base model's images.",
        )
        rows.append(row)
    return rows


def _mean_over(macro: Scores, findings: Scores) -> int:
    judged = macro.get("findings")
    if isinstance(judged, list | tuple):
        return len(judged)
    return int(finite(judged) or len(findings))


def _utility_headline(scores: Scores) -> list[HeadlineRow]:
    arms = part(scores, "utility", "arms")
    named = [(name, part(arms, name)) for name in arms if name != "real"]
    known = [(name, arm) for name, arm in named if finite(arm.get("delta")) is not None]
    return [
        HeadlineRow(
            name="downstream gain",
            detail=f"trained on {words(name)}",
            value=number(arm.get("delta"), 3, sign=True),
            ci=interval(arm.get("delta_ci"), 3, sign=True),
            floor=NONE,
            same_n=NONE,
            n=f"{count(arm.get('n_train'))} trained on",
            meaning=_MEANINGS["gain"] if name == known[-1][0] else "",
        )
        for name, arm in known
    ]


def fidelity_rows(scores: Scores) -> tuple[FidelityRow, ...]:
    """Label fidelity a finding, what fine-tuning helped most first, then the mean."""
    rows = [
        _fidelity_row(words(name), after, before, counts=True)
        for name, after, before in fidelity_by_gain(scores)
    ]
    macro = part(scores, "label_fidelity", "macro")
    if macro:
        before = part(scores, "label_fidelity_before", "macro")
        rows.append(_fidelity_row("mean", macro, before, counts=False))
    return tuple(rows)


def _fidelity_row(name: str, after: Scores, before: Scores, *, counts: bool) -> FidelityRow:
    sides = [count(after.get(key)) for key in ("n_positive", "n_negative")]
    return FidelityRow(
        name=name,
        before=number(before.get("auroc")),
        after=number(after.get("auroc")),
        ci=interval(after.get("ci")),
        real=number(after.get("real_auroc")),
        real_ci=interval(after.get("real_ci")),
        n=" / ".join(sides) if counts else "",
        gain=number(gain(after, before), 3, sign=True),
        detected=_detected(after, before) if counts else "",
        detected_real=_detected_real(after) if counts else "",
    )


def _detected(after: Scores, before: Scores) -> str:
    """Shares of images in which the judge sees the finding, before and after: ``"12 → 88 %"``."""
    share, earlier = finite(after.get("detected")), finite(before.get("detected"))
    if share is None:
        return NONE
    return (
        f"{100 * share:.0f} %" if earlier is None else f"{100 * earlier:.0f} → {100 * share:.0f} %"
    )


def _detected_real(after: Scores) -> str:
    share = finite(after.get("real_detected"))
    return "" if share is None else f"real {100 * share:.0f} %"


def gain(after: Scores, before: Scores) -> float | None:
    """What fine-tuning added to an AUROC, None where either is unknown."""
    first, second = finite(before.get("auroc")), finite(after.get("auroc"))
    return None if first is None or second is None else second - first


def fidelity_by_gain(scores: Scores) -> list[tuple[str, Scores, Scores]]:
    """(finding, after, before), largest gain first; without a before, lowest AUROC last."""
    findings = part(scores, "label_fidelity", "findings")
    base = part(scores, "label_fidelity_before", "findings")
    rows = [(name, part(findings, name), part(base, name)) for name in findings]

    def key(row: tuple[str, Scores, Scores]) -> tuple[float, float, str]:
        added = gain(row[1], row[2])
        level = finite(row[1].get("auroc"))
        return (-1e9 if added is None else added, -1e9 if level is None else level, row[0])

    return sorted(rows, key=key, reverse=True)


def fidelity_dots(scores: Scores) -> tuple[Dots, ...]:
    """The same for the dot chart; findings without any AUROC are left to the table."""
    rows = [
        Dots(words(name), _dot(after), _dot(before), _dot(after, "real_auroc", "real_ci"))
        for name, after, before in fidelity_by_gain(scores)
    ]
    return tuple(row for row in rows if row.after or row.before)


def _dot(
    record: Scores, value: str = "auroc", ends: str = "ci"
) -> tuple[float, tuple[float, float] | None] | None:
    known = finite(record.get(value))
    return None if known is None else (known, bounds(record.get(ends)))


def utility_arms(scores: Scores) -> tuple[str, ...]:
    """The names of the arms, training on real images first."""
    arms = part(scores, "utility", "arms")
    return tuple(sorted((name for name in arms if part(arms, name)), key=lambda n: n != "real"))


def utility_rows(scores: Scores) -> tuple[UtilityRow, ...]:
    """AUROC on held-out real patients: the mean, then every finding."""
    names = utility_arms(scores)
    arms = [part(scores, "utility", "arms", name) for name in names]
    findings = sorted({finding for arm in arms for finding in part(arm, "findings")})
    rows = [UtilityRow("mean", "", tuple(_cell(arm, "macro_auroc") for arm in arms))]
    for finding in findings:
        found = [part(arm, "findings", finding) for arm in arms]
        sides = _tested(found)
        rows.append(UtilityRow(words(finding), sides, tuple(_cell(one, "auroc") for one in found)))
    return tuple(rows) if names else ()


def _tested(found: Sequence[Scores]) -> str:
    known = next((one for one in found if one), {})
    return f"{count(known.get('n_positive'))} / {count(known.get('n_negative'))}"


def _cell(record: Scores, key: str) -> Cell:
    delta = finite(record.get("delta"))
    return Cell(
        number(record.get(key)),
        interval(record.get("ci")),
        "" if not delta else number(delta, 3, sign=True),
        "" if not delta else interval(record.get("delta_ci"), 3, sign=True),
    )


def utility_more(scores: Scores) -> tuple[UtilityArm, ...]:
    """What else an arm is worth, one row an arm; none where the scores do not hold it."""
    arms = part(scores, "utility", "arms")
    named = [(name, part(arms, name)) for name in utility_arms(scores)]
    return tuple(
        _utility_arm(name, arm) for name, arm in named if finite(arm.get("macro_auprc")) is not None
    )


def _utility_arm(name: str, arm: Scores) -> UtilityArm:
    worst, missed = part(arm, "worst_group"), part(arm, "underdiagnosis")
    gaps = {key: part(missed, "by", key) for key in part(missed, "by")}
    widest = max(gaps, key=lambda key: finite(gaps[key].get("gap")) or 0.0, default="")
    gap = gaps.get(widest, {})
    tested = [part(arm, "findings", key) for key in part(arm, "findings")]
    p = [value for one in tested if (value := finite(one.get("p_holm"))) is not None]
    return UtilityArm(
        name=words(name),
        auprc=number(arm.get("macro_auprc")),
        ece=number(arm.get("macro_ece")),
        brier=number(arm.get("macro_brier")),
        changed=f"{sum(value < _LEVEL for value in p)} of {len(p)}" if p else NONE,
        worst=number(worst.get("auroc")),
        group=f"{words(str(worst['attribute']))} {worst['group']}" if worst else "",
        missed=number(missed.get("rate")),
        gap=number(gap.get("gap")),
        between=f"{words(widest)} {gap['worst']} and {gap['best']}" if gap else "",
    )


def utility_choice(scores: Scores) -> str:
    """Who stopped and chose the classifiers, as a sentence."""
    found = part(scores, "utility")
    source = str(found.get("validation") or "")
    if not source or source.startswith("none"):
        return ""
    looked = count(found.get("n_validation"))
    return f"Training was stopped by {looked} real images of other patients ({source})."


def utility_dots(scores: Scores) -> tuple[Dots, ...]:
    """Mean AUROC of each arm for the dot chart."""
    rows = []
    for name in utility_arms(scores):
        dot = _dot(part(scores, "utility", "arms", name), "macro_auroc")
        rows.append(Dots(f"trained on {words(name)}", dot))
    return tuple(row for row in rows if row.after)
