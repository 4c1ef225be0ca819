"""Images against their texts in a training loop, beside real pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from metrics.alignment import image_text_alignment
from metrics.pairs import pairs
from metrics.records import Record
from metrics.torch_metrics.alone import value_of
from metrics.torch_metrics.names import coded, read
from synth.errors import SynthError

_PARTS = ("images", "texts", "words", "labels", "groups")
_SIDES = ("synthetic", "real")


class ImageTextAlignment(Metric):  # type: ignore[misc]  # torchmetrics is not followed
    """See ``metrics.image_text_alignment``; ``compute`` gives a scalar for each of its records.

    Args:
        extractor: images to features [b, d]; None takes features.
        reader: texts to features [b, d] of the same space; None takes features.
        keep_real: True keeps the real pairs at ``reset``.
        seed: of subsamples and blocks.
        kwargs: of ``torchmetrics.Metric``.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    def __init__(
        self,
        extractor: Callable[[Tensor], Tensor] | None = None,
        reader: Callable[[Sequence[str]], Tensor] | None = None,
        keep_real: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.extractor, self.reader, self.keep_real, self.seed = extractor, reader, keep_real, seed
        for side in _SIDES:
            for part in _PARTS:
                self.add_state(f"{side}_{part}", [], dist_reduce_fx="cat")

    def update(
        self,
        images: Tensor,
        texts: Tensor | Sequence[str],
        real: bool = False,
        words: Sequence[str] | None = None,
        labels: Tensor | None = None,
        groups: Sequence[str] | None = None,
    ) -> None:
        """Take in pairs of images and texts.

        Args:
            images: what the extractor takes, or features [b, d].
            texts: what the reader takes, or features [b, d].
            real: held-out real pairs rather than synthetic ones.
            words: [b] the texts themselves; those that a reader reads are taken where None.
            labels: [b, findings], 1 present.
            groups: [b] the patient of each pair.

        Raises:
            SynthError: features that are no pairs, or not one name or row of labels a pair.
        """
        seen = images if self.extractor is None else self.extractor(images)
        if not isinstance(texts, Tensor):
            if self.reader is None:
                raise SynthError(
                    "texts need a reader", where="ImageTextAlignment", expected="features [b, d]"
                )
            words = texts if words is None else words
            texts = self.reader(texts)
        if seen.ndim != 2 or seen.shape != texts.shape:
            raise SynthError(
                "images and texts are not pairs of one space",
                where="ImageTextAlignment",
                got=f"images {tuple(seen.shape)}, texts {tuple(texts.shape)}",
                expected="[b, d] both",
            )
        given: dict[str, Tensor] = {
            "images": seen.detach().float(),
            "texts": texts.detach().float(),
        }
        for part, names in (("words", words), ("groups", groups)):
            if names is not None:
                given[part] = coded(names, len(seen), where=part).to(seen.device)
        if labels is not None:
            if labels.ndim != 2 or len(labels) != len(seen):
                raise SynthError(
                    "one row of labels a pair is needed",
                    where="labels",
                    got=tuple(labels.shape),
                    expected=f"[{len(seen)}, findings]",
                )
            given["labels"] = labels.detach().double()
        for part, values in given.items():
            getattr(self, f"{_side(real)}_{part}").append(values)

    def forward(self, images: Tensor, texts: Any, real: bool = False, **further: Any) -> Any:
        """Take in a batch as ``update`` does.

        Returns:
            The scalars of this batch beside kept real pairs, of this process; None where that is
            none, as for a batch of real pairs.
        """
        self.update(images, texts, real=real, **further)
        states: dict[str, list[Tensor]] = {}
        for side in _SIDES:
            for part in _PARTS:
                held = getattr(self, f"{side}_{part}")
                whole = side == "real" and self.keep_real
                states[f"{side}_{part}"] = (
                    list(held) if whole else held[-1:] * (side == _side(real))
                )
        self._forward_cache = value_of(self, states)  # where Lightning's logger looks
        return self._forward_cache

    def record(self) -> dict[str, Record]:
        """Records by name; retrieval and matching are missing where the pairs do not allow them.

        Raises:
            SynthError: no synthetic pairs, or names and labels for some pairs only.
        """
        made = self._held("synthetic")
        if made is None:
            raise SynthError("no pairs were given", where="synthetic")
        real = self._held("real")
        found = image_text_alignment(
            **made, real=None if real is None else pairs(**real, side="real"), seed=self.seed
        )
        return dict(found.records)

    def compute(self) -> dict[str, Tensor]:
        """The values by name, float64 scalars."""
        return {
            name: torch.tensor(record.value, dtype=torch.float64, device=self.device)
            for name, record in self.record().items()
        }

    def reset(self) -> None:
        """Forget what was seen; the real pairs stay where ``keep_real`` is True."""
        states = [f"real_{part}" for part in _PARTS] if self.keep_real else []
        kept = {state: list(getattr(self, state)) for state in states}
        super().reset()
        for state, rows in kept.items():
            setattr(self, state, rows)

    def _held(self, side: str) -> dict[str, Any] | None:
        held: dict[str, Any] = {}
        for part in _PARTS:
            parts = getattr(self, f"{side}_{part}")
            joined = None if isinstance(parts, list) and not parts else dim_zero_cat(parts).cpu()
            if joined is not None and joined.numel():
                held[part] = read(joined) if part in ("words", "groups") else joined
        return held or None


def _side(real: bool) -> str:
    return "real" if real else "synthetic"
