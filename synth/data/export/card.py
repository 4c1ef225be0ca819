"""``README.md`` of an export: what it is, how to open it, what binds its use."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from synth.data.card import source_table
from synth.data.export.collection import Collection
from synth.data.export.layout import Layout
from synth.data.splits import SPLITS


def card(collection: Collection, layout: Layout, title: str) -> str:
    """The Markdown text.

    Args:
        collection: what was exported.
        layout: what the format says of its files.
        title: name of the format.
    """
    parts = [
        _front(collection, layout),
        f"# {collection.name} ({title})\n",
        *_banner(collection),
        _contents(collection),
        _findings(collection),
        "Labels: 1 present, 0 absent, -1 uncertain, empty not stated. Leave the last two out of "
        "losses and scores; they are not 0. Labels of synthetic images (`label_source` "
        "`conditioned`) say what the model was asked to show.\n",
        _open(collection, layout),
        _terms(collection),
    ]
    return "\n".join(parts)


def _front(collection: Collection, layout: Layout) -> str:
    """The block that Hugging Face reads: which files are which split, and what they hold."""
    tags = ["medical", "radiology", *(["synthetic"] if collection.synthetic else [])]
    lines = ["---", f"pretty_name: {json.dumps(collection.name)}", f"tags: {json.dumps(tags)}"]
    lines += ["license: other", f"license_name: {json.dumps(collection.terms.licence)}"]
    if layout.data_files:
        lines += ["configs:", "- config_name: default", "  data_files:"]
        for split, pattern in layout.data_files.items():
            lines += [f"  - split: {split}", f"    path: {json.dumps(pattern)}"]
    return "\n".join([*lines, "---", ""])


def _banner(collection: Collection) -> list[str]:
    count, made = len(collection.items), collection.synthetic
    lines = []
    if made == count:
        lines.append("**Every image is SYNTHETIC. None shows a patient. Not for diagnosis.**\n")
    elif made:
        lines.append(
            f"**{made} of {count} images are SYNTHETIC and show no patient; `synthetic` says "
            "which. Test on real images only.**\n"
        )
    if collection.phantom:
        lines.append("**Phantom data: computed, not patients. No clinical realism claimed.**\n")
    if collection.terms.local_use:
        lines.append(
            "**For local use: exported under the statement that it stays with those bound by the "
            "terms below. Do not pass it on.**\n"
        )
    return lines


def _contents(collection: Collection) -> str:
    lines = ["| split | real | synthetic | weight of a synthetic image |", "|---|---:|---:|---:|"]
    for split in SPLITS:
        items = collection.splits.get(split, ())
        if items:
            made = sum(item.row.synthetic for item in items)
            weights = {item.weight for item in items if item.row.synthetic}
            weight = f"{weights.pop():.4g}" if weights else ""
            lines.append(f"| {split} | {len(items) - made} | {made} | {weight} |")
    names = " and ".join(f"`{dataset.info.name}`" for dataset in collection.datasets)
    return "\n".join([f"Images of {names}.\n", *lines, ""])


def _findings(collection: Collection) -> str:
    counts: Mapping[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for item in collection.items:
        present = [name for name, value in item.row.labels.items() if value == 1]
        counts[item.row.synthetic].update(present)
    lines = ["| finding present | real | synthetic |", "|---|---:|---:|"]
    lines += [
        f"| {name} | {counts[False][name]} | {counts[True][name]} |"
        for name in collection.findings
        if counts[False][name] or counts[True][name]
    ]
    return "\n".join([*lines, ""])


def _open(collection: Collection, layout: Layout) -> str:
    code = layout.code.replace("DIR", collection.name)
    remarks = [f"{remark}\n" for remark in layout.remarks]
    return "\n".join(
        [
            "## Open it\n",
            f"```python\n{code.rstrip()}\n```\n",
            *remarks,
            "Check the files with `sha256sum -c SHA256SUMS`.\n",
        ]
    )


def _terms(collection: Collection) -> str:
    terms = collection.terms
    sources = f"{source_table(terms.sources)}\n\n" if terms.sources else ""
    lines = "\n".join(f"- {line}" for line in terms.lines) or "None were recorded with the data."
    return f"## Terms of use\n\n{sources}{lines}\n"
