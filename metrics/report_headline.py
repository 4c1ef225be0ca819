"""The first table of the page: every usual score with its interval, its floor, N and meaning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from metrics.report_values import (
    NONE,
    Scores,
    count,
    finite,
    interval,
    number,
    part,
    sentence,
    words,
)

USUAL = ("fd", "kd", "precision", "recall", "density", "coverage")
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
    "nn_auc": "nearer to training than to unseen",
    "share_closer": "closer to training than the closest unseen",
    "psnr": "autoencoder PSNR (dB)",
}


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


def headline(scores: Scores) -> tuple[HeadlineRow, ...]:
    """Every usual score of the whole dataset."""
    rows = [_record_row(name, record) for name, record in usual_records(part(scores, "metrics"))]
    rows += _fidelity_rows(scores)
    rows += _utility_rows(scores)
    copied = ("auc", "nn_auc", "share_closer")
    for group, keys in (("memorization", copied), ("reconstruction", ("psnr",))):
        found = part(scores, group)
        rows += [_record_row(key, part(found, key)) for key in keys if part(found, key)]
    return tuple(rows)


def usual_records(metrics: Scores) -> Iterator[tuple[str, Scores]]:
    """The records of ``USUAL``, of every extractor."""
    for name in metrics:
        if is_usual(name) and (record := part(metrics, name)):
            yield name, record


def is_usual(name: str) -> bool:
    """Whether a key of ``metrics`` belongs into the first table: ``fd_pixel`` does."""
    return name.split("_")[0] in USUAL


def direction(record: Scores) -> str:
    """Which way is better, as a sentence with a space before it; empty where neither is."""
    better = record.get("higher_is_better")
    if not isinstance(better, bool):
        return ""
    return " Higher is better." if better else " Lower is better."


def sides(record: Scores) -> str:
    """``N real / synthetic`` of a record."""
    return " / ".join(count(record.get(side)) for side in ("n_real", "n_synthetic"))


def floor_text(record: Scores) -> str:
    """The real-against-real floor and its N, a dash without one."""
    floor = part(record, "floor")
    return f"{number(floor.get('value'))} (N {count(floor.get('n'))})" if floor else NONE


def _record_row(name: str, record: Scores) -> HeadlineRow:
    kind, _, extractor = name.partition("_") if is_usual(name) else (name, "", "")
    digits = 1 if kind == "psnr" else None
    alone = f"{count(record.get('n_real'))} / {NONE}"  # of real images alone
    return HeadlineRow(
        name=_NAMES.get(kind, words(kind)),
        detail=f"{words(extractor)} features" if extractor else "",
        value=number(record.get("value"), digits),
        ci=interval(record.get("ci"), digits),
        floor=floor_text(record),
        same_n=number(part(record, "floor").get("synthetic_at_same_n")),
        n=alone if kind == "psnr" else sides(record),
        meaning=sentence(record.get("meaning") or _MEANINGS.get(kind, "")) + direction(record),
        note=sentence(record.get("note")),
    )


def _fidelity_rows(scores: Scores) -> list[HeadlineRow]:
    rows = []
    for key, detail in (("label_fidelity_before", "before"), ("label_fidelity", "after")):
        macro = part(scores, key, "macro")
        if finite(macro.get("auroc")) is None:
            continue
        findings = part(scores, key, "findings")
        meaning = (
            "Mean AUROC of a classifier trained on real images, asked whether an image shows what "
            "its text says. The column of real against real gives the same judge on real images."
        )
        row = HeadlineRow(
            name="label fidelity",
            detail=f"{detail} fine-tuning, mean over {_mean_over(macro, findings)} findings",
            value=number(macro.get("auroc")),
            ci=interval(macro.get("ci")),
            floor=number(macro.get("real_auroc")),
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


def _utility_rows(scores: Scores) -> list[HeadlineRow]:
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
