"""The README of a synthetic dataset: what it is, what it is not, and how it was made."""

from __future__ import annotations

from collections.abc import Sequence

from sample.filters.account import section
from sample.identity import Identity
from sample.plan import Plan
from synth.data.card import source_table
from synth.manifest import DatasetInfo, SyntheticRow

_CARD = """\
---
pretty_name: {name}
tags:
- synthetic
- medical
- image
configs:
- config_name: default
  data_files:
  - split: train
    path:
    - metadata.jsonl
    - images/**
---

# {name}: SYNTHETIC images

**Every image in this folder is SYNTHETIC. None shows a patient.** A generative model made them
from text{phantom}. Each PNG says so itself (iTXt `Synthetic=YES`), and so does each row of
`metadata.jsonl` (`synthetic: true`).

Labels are *conditioned*: they say what the model was asked to show, not what a reader saw. Measure
how well the images keep them (`synth evaluate`) before relying on them. Not for diagnosis.

![the first images](previews.png)

## What is in it

{images} images of {size}×{size} pixels, one grey channel, 8 bits, all in the training split. Test
on real images only.

| finding | real training images | synthetic | together |
|---|---:|---:|---:|
{table}

Label values: 1 present, 0 absent, -1 uncertain, null not stated. Leave -1 and null out of scores;
they are not 0. {flagged}{notes}

## How it was made

| | |
|---|---|
| texts from | the training split of `{source}` |
| plan | {plan} |
| solver | {solver}, {steps} steps, guidance {guidance:g} |
| precision | {precision} |
| run seed | {seed} |
| weights (SHA-256) | `{weights}` |
| settings (SHA-256) | `{config}` |

Each row carries its seed, prompt and the digests above: with the same weights, batch size and
hardware it gives the same image bit for bit, otherwise one that differs by rounding.

## Load it

```python
from datasets import load_dataset

dataset = load_dataset("imagefolder", data_dir="{name}", split="train")
```

Check the files with `sha256sum -c SHA256SUMS`.

{filters}{sources}## Terms of use

{terms}
"""


def card(
    info: DatasetInfo, plan: Plan, identity: Identity, rows: Sequence[SyntheticRow], *, source: str
) -> str:
    """The Markdown text.

    Args:
        info: the facts of ``dataset.json``.
        plan: what was asked for.
        identity: how it was made.
        rows: the images.
        source: name of the real dataset whose texts were used.
    """
    flagged = sum(not all(row.filters.values()) for row in rows)
    return _CARD.format(
        name=info.name,
        phantom=" about computer-made phantoms, not about people" if info.phantom else "",
        images=len(rows),
        size=info.size,
        table="\n".join(
            f"| {count.finding} | {count.real} | {count.planned} | {count.total} |"
            for count in plan.table()
        ),
        flagged=(
            f"{flagged} images failed a quality check (`filters` in their row). " if flagged else ""
        ),
        notes="".join(f"\n\n{note}." for note in plan.notes),
        source=source,
        plan=plan.words,
        solver=identity.solver,
        steps=identity.steps,
        guidance=identity.guidance,
        precision=identity.precision,
        seed=identity.seed,
        weights=identity.weights_sha256,
        config=identity.config_sha256,
        filters=_filters(info),
        sources=f"## Sources\n\n{source_table(info.sources)}\n\n" if info.sources else "",
        terms="\n".join(f"- {term}" for term in info.terms) or "None were recorded with the data.",
    )


def _filters(info: DatasetInfo) -> str:
    """The section about filters; empty where there are none."""
    found = (info.model_extra or {}).get("filters")
    return section(found, found) + "\n" if found else ""
