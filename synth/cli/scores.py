"""The tables of ``scores.json`` as the command line shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synth.cli.tables import interval, number, p_value, table

if TYPE_CHECKING:
    from rich.console import RenderableType

Record = Mapping[str, Any]


def score_tables(scores: Record) -> list[RenderableType]:
    """Fidelity, label fidelity, utility and the rest; parts that were not scored are left out."""
    tables: list[RenderableType] = []
    if verdict := _record(scores, "verdict"):
        tables += _verdict(verdict)
    if metrics := _record(scores, "metrics"):
        tables.append(_fidelity(metrics))
    if groups := _groups(scores):
        tables.append(groups)
    tables += _alignment(_record(scores, "alignment"))
    if findings := _record(_record(scores, "label_fidelity"), "findings"):
        tables.append(_label_fidelity(scores, findings))
    if arms := _record(_record(scores, "utility"), "arms"):
        tables.append(_utility(arms, "Downstream utility, on real test patients"))
    if arms := _record(_record(scores, "probe"), "arms"):
        tables.append(_utility(arms, _probe_title(scores)))
    if found := _record(scores, "retrieval"):
        tables.append(_retrieval(found))
    if arms := _record(_record(scores, "segmentation"), "arms"):
        tables.append(_segmentation(arms))
    if rest := list(_rest(scores)):
        tables.append(table("Further", ("", "value", "95 % interval"), rest))
    return [*tables, *_remarks(scores)]


def _verdict(verdict: Record) -> list[RenderableType]:
    """What may be concluded, before any number."""
    lines = [line for line in _items(verdict, "lines") if isinstance(line, Mapping)]
    rows = [(str(line.get("state")), str(line.get("says")), str(line.get("why"))) for line in lines]
    return [table(str(verdict.get("headline")), ("state", "what", "why"), rows, words=True)]


def _fidelity(metrics: Record) -> RenderableType:
    rows = []
    for name in metrics:
        record = _record(metrics, name)
        floor = _record(record, "floor")
        counts = f"{number(record.get('n_real'))} / {number(record.get('n_synthetic'))}"
        same = number(floor.get("synthetic_at_same_n"))
        real = number(floor.get("value"))
        value = number(record.get("value"))
        rows.append((name, value, interval(record.get("ci")), counts, same, real))
    headers = ("metric", "value", "95 % interval", "N real / synthetic", "at floor's N", "floor")
    return table("Fidelity and diversity; floor: real against real", headers, rows)


def _groups(scores: Record) -> RenderableType | None:
    """Kernel distance of each finding and subgroup; p is corrected for how many there are."""
    held = dict(_record(scores, "per_finding"))
    columns = _record(scores, "per_subgroup")
    for column in columns:
        values = _record(columns, column)
        held |= {f"{column} {value}": values[value] for value in values}
    rows = []
    for name in held:
        group = _record(held, name)
        kernel, share = _record(group, "kd"), _record(group, "nearest_share")
        rows.append(
            (
                name,
                number(kernel.get("value")),
                interval(kernel.get("ci")),
                number(_record(kernel, "floor").get("value")),
                p_value(group.get("p_holm")),
                number(share.get("value")),
                f"{number(group.get('n_real'))} / {number(group.get('n_synthetic'))}",
            )
        )
    headers = ("group", "kernel distance", "95 % interval", "floor", "p (Holm)", "nearest", "N")
    return table("Per finding and subgroup", headers, rows) if rows else None


def _alignment(section: Record) -> Iterator[RenderableType]:
    """Images against texts beside real pairs, and against sentences that state or deny."""
    records = {
        name: _record(section, name) for name in section if name not in ("negation", "texts")
    }
    rows = [
        (name.replace("_", " "), *_beside_real(record), number(record.get("n_synthetic")))
        for name, record in records.items()
    ]
    headers = ("", "value", "95 % interval", "real pairs", "chance", "p (as real)", "N")
    if rows:
        yield table("Image-text alignment, beside real images and reports", headers, rows)
    negation = _record(section, "negation")
    findings = _record(negation, "findings")
    if not findings:
        return
    held = {**findings, "mean": {"auroc": _record(negation, "macro")}}
    yield table(
        'Negation: nearer to "There is X." than to "There is no X."',
        (
            "finding",
            "AUROC",
            "95 % interval",
            "real images",
            "accuracy",
            "p (Holm)",
            "N with / without",
        ),
        [_negation_row(name, _record(held, name)) for name in held],
    )


def _beside_real(record: Record) -> tuple[str, ...]:
    details = _record(record, "details")
    return (
        number(record.get("value")),
        interval(record.get("ci")),
        number(_record(record, "floor").get("value")),
        number(details.get("chance")),
        p_value(details.get("p")),
    )


def _negation_row(name: str, row: Record) -> tuple[str, ...]:
    value, ci, real, _, _ = _beside_real(_record(row, "auroc"))
    accuracy = number(_record(row, "balanced_accuracy").get("value"))
    counts = f"{number(row.get('n_positive'))} / {number(row.get('n_negative'))}"
    mean = name == "mean"
    rest = ("", "", "") if mean else (accuracy, p_value(row.get("p_holm")), counts)
    return name, value, ci, real, *rest


def _label_fidelity(scores: Record, findings: Record) -> RenderableType:
    """AUROC of a classifier trained on real images, judging the conditioned findings."""
    after = _record(scores, "label_fidelity")
    before = _record(scores, "label_fidelity_before")
    before_findings = _record(before, "findings")
    rows = [
        _label_row(name, _record(findings, name), _record(before_findings, name))
        for name in findings
    ]
    rows.append(_label_row("macro", _record(after, "macro"), _record(before, "macro")))
    headers = ("finding", "before", "after", "95 % interval", "real images", "N present / absent")
    return table("Label fidelity (AUROC), before and after fine-tuning", headers, rows)


def _label_row(name: str, after: Record, before: Record) -> tuple[str, ...]:
    counts = f"{number(after.get('n_positive'))} / {number(after.get('n_negative'))}"
    return (
        name,
        number(before.get("auroc")),
        number(after.get("auroc")),
        interval(after.get("ci")),
        number(after.get("real_auroc")),
        "" if name == "macro" else counts,
    )


def _probe_title(scores: Record) -> str:
    """What the probe rests on: it is not to be taken for a trained classifier."""
    extractor = _record(scores, "probe").get("extractor")
    return f"Probe: logistic regression on frozen {extractor}, on real test patients"


def _utility(arms: Record, title: str) -> RenderableType:
    """What was learnt from each arm's images, tested on held-out real patients."""
    rows = []
    for arm in arms:
        record = _record(arms, arm)
        rows.append(
            (
                arm,
                number(record.get("n_train")),
                number(record.get("macro_auroc")),
                interval(record.get("ci")),
                number(record.get("delta")),
                interval(record.get("delta_ci")),
            )
        )
    headers = ("trained on", "images", "macro AUROC", "95 % interval", "gain", "95 % interval")
    return table(title, headers, rows)


def _retrieval(found: Record) -> RenderableType:
    """Image-text models on test pairs, both ways, under what a random order would find."""
    rows = []
    for way, words in (("report_to_image", "image"), ("image_to_report", "report")):
        by_chance = _record(_record(found, "chance"), way)
        numbers = [number(by_chance.get(name)) for name in ("r1", "r5", "median_rank")]
        rows.append(("chance", words, *numbers[:2], "", "", "", numbers[2]))
        arms = _record(found, "arms")
        for arm in arms:
            held = _record(_record(arms, arm), way)
            first, five = _record(held, "r1"), _record(held, "r5")
            rows.append(
                (
                    arm,
                    words,
                    number(first.get("value")),
                    number(five.get("value")),
                    interval(five.get("ci")),
                    number(five.get("delta")),
                    interval(five.get("delta_ci")),
                    number(_record(held, "median_rank").get("value")),
                )
            )
    headers = ("trained on", "finds", "R@1", "R@5", "95 % interval", "gain", "95 % interval")
    title = (
        f"Retrieval utility among {found.get('n_test')} images and {found.get('n_test_reports')} "
        "reports of test patients; intervals of R@5"
    )
    return table(title, (*headers, "median"), rows)


def _segmentation(arms: Record) -> RenderableType:
    """U-Nets on test images: those with something inside, and false alarms in the others."""
    rows = []
    for arm in arms:
        held = _record(arms, arm)
        dice = _record(held, "dice")
        rows.append(
            (
                arm,
                number(held.get("n_train")),
                number(dice.get("value")),
                interval(dice.get("ci")),
                number(dice.get("delta")),
                interval(dice.get("delta_ci")),
                number(_record(held, "sensitivity").get("value")),
                number(_record(held, "false_alarms").get("value")),
            )
        )
    headers = ("trained on", "images", "Dice", "95 % interval", "gain", "95 % interval")
    title = "Segmentation utility, on real test patients"
    return table(title, (*headers, "sensitivity", "false alarms"), rows)


def _rest(scores: Record) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    psnr = _record(_record(scores, "reconstruction"), "psnr")
    if psnr:
        value = f"{number(psnr.get('value'), 1)} dB"
        rows.append(("autoencoder PSNR", value, interval(psnr.get("ci"), 1)))
    memorization = _record(scores, "memorization")
    for name in ("auc", "share_closer", "nn_auc"):
        if record := _record(memorization, name):
            text = f"memorization: {name.replace('_', ' ')}"
            rows.append((text, number(record.get("value")), interval(record.get("ci"))))
    return rows


def _remarks(scores: Record) -> Iterator[str]:
    for item in _items(scores, "warnings"):
        yield f"warning: {item}"
    for item in _items(scores, "not_computed"):
        if isinstance(item, Mapping):
            yield f"not computed: {item.get('what')}: {item.get('why')}"


def _items(parent: Record, name: str) -> Sequence[object]:
    value = parent.get(name)
    return value if isinstance(value, list | tuple) else ()


def _record(parent: Record, name: str) -> Record:
    """A part of the scores, empty where it is missing, null or not a mapping."""
    value = parent.get(name)
    return value if isinstance(value, Mapping) else {}
