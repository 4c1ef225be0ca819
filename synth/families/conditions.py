"""Conditions beside the text: one learned vector a category, zero at first.

A family takes them as further tokens of the text or as a summand of its pooled vector. What is not
known, or dropped, is masked or adds nothing, so the model is then exactly the one without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from synth.errors import SynthError
from synth.families.base import Conditioning
from synth.families.facts import CATEGORIES

FOLDER = "conditions"
FILE = "conditions.safetensors"
Slot = Literal["token", "pooled"]


class Conditions(nn.Module):
    """The vectors of all conditions of a model.

    Args:
        names: keys of ``CATEGORIES``, in the order of ``Conditioning.facts``.
        width: of a vector: the tokens' or the pooled text's.
        slot: where a family takes them.
    """

    def __init__(self, names: Sequence[str], width: int, slot: Slot) -> None:
        super().__init__()
        self.slot = slot
        self.tables = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(len(CATEGORIES[name]), width)) for name in names}
        )

    def attach(self, cond: Conditioning) -> Conditioning:
        """Conditioning with the vectors of its facts put in; rows without facts are unchanged.

        Args:
            cond: ``facts`` int64 [B, K]; None or negative entries are unknown.
        """
        facts = cond.facts
        if facts is None:
            return cond
        known = facts >= 0
        vectors = torch.stack(
            [
                table[facts[:, k].clamp_min(0)] * known[:, k, None]
                for k, table in enumerate(self.tables.values())
            ],
            dim=1,
        )
        if self.slot == "pooled":
            if cond.pooled is None:
                raise SynthError("this family's conditions need the pooled text")
            return replace(cond, pooled=cond.pooled + vectors.sum(dim=1).to(cond.pooled))
        mask = cond.mask
        if mask is None:
            mask = torch.ones(cond.tokens.shape[:2], dtype=torch.bool, device=facts.device)
        tokens = torch.cat([cond.tokens, vectors.to(cond.tokens)], dim=1)
        return replace(cond, tokens=tokens, mask=torch.cat([mask, known], dim=1))

    def named(self) -> list[tuple[str, nn.Parameter]]:
        """The vectors as trainable parameters, by stable names."""
        self.requires_grad_(True)
        return [(f"conditions.{name}", table) for name, table in self.tables.items()]

    def save(self, folder: Path) -> None:
        """Write ``conditions/conditions.safetensors`` into a pipeline folder."""
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        save_file({n: t.detach().cpu() for n, t in self.tables.items()}, folder / FOLDER / FILE)


def make_conditions(
    names: Sequence[str], folder: Path, *, width: int, slot: Slot
) -> Conditions | None:
    """The conditions a configuration asks for, with the vectors a pipeline folder has of them.

    Args:
        names: keys of ``CATEGORIES``; none gives None.
        folder: the pipeline; trained vectors lie in ``conditions/``.
        width: of a vector.
        slot: where the family takes them.

    Raises:
        SynthError: the folder was trained with other conditions.
    """
    path = folder / FOLDER / FILE
    if not names and not path.is_file():
        return None
    stored: dict[str, Tensor] = load_file(path) if path.is_file() else {}
    if stored and names and set(stored) != set(names):
        raise SynthError(
            "the weights were trained with other conditions",
            where=path,
            got=", ".join(sorted(stored)),
            expected=", ".join(sorted(names)),
            fix="Set model.conditions to those of the weights.",
        )
    if stored and not names:
        return None  # trained with conditions, used without: every one unknown
    made = Conditions(names, width, slot)
    for name, table in stored.items():
        made.tables[name].data.copy_(table)
    return made.requires_grad_(False)
