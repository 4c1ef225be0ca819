"""A metric function over what has been seen: states are lists of rows, one list a side.

Within a distributed run every process must have seen some rows of each side: torch gathers no rows
of a process that does not know their length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from metrics.records import Record
from metrics.torch_metrics.alone import value_of
from metrics.torch_metrics.names import coded, read
from synth.errors import SynthError, UsageError


def feature_rows(values: Tensor, side: str) -> Tensor:
    """Features [b, d] as float32.

    Raises:
        SynthError: not a matrix.
    """
    if values.ndim != 2:
        raise SynthError("features must be a matrix", where=side, got=tuple(values.shape))
    return values.float()


class SidesMetric(Metric):  # type: ignore[misc]  # torchmetrics is not followed
    """A function of sets of rows, each named by a keyword: ``update(x, side="real")``.

    Args:
        extractor: images to features [b, d]; None takes what the function takes.
        keep: sides that ``reset`` leaves, for reference sets that do not change.
        settings: further keyword arguments of the function, for example ``k=3`` or ``seed=1``.
        kwargs: of ``torchmetrics.Metric``.

    Attributes:
        sides: keywords of the function that take rows.
        optional: those of them that may stay empty.
        names: for a side whose rows have names, patients or labels, the function's keyword.
        usual: the side of an ``update`` that names none; empty where it must.
        measure: the function.
        rows: checks and converts what ``update`` is given.
    """

    is_differentiable = False
    full_state_update = False
    sides: ClassVar[tuple[str, ...]]
    optional: ClassVar[tuple[str, ...]] = ()
    names: ClassVar[Mapping[str, str]] = {}
    usual: ClassVar[str] = ""
    measure: ClassVar[Callable[..., Any]]
    rows: ClassVar[Callable[..., Tensor]] = staticmethod(feature_rows)

    def __init__(
        self,
        extractor: Callable[[Tensor], Tensor] | None = None,
        keep: tuple[str, ...] = (),
        settings: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if wrong := [side for side in keep if side not in self.sides]:
            raise UsageError("no such side to keep", got=wrong, expected=self.sides)
        self.extractor, self.keep, self.settings = extractor, keep, dict(settings or {})
        for side in self.sides:
            for state in self._states(side):
                self.add_state(state, [], dist_reduce_fx="cat")

    def update(
        self,
        images: Tensor,
        real: bool | None = None,
        side: str | None = None,
        groups: Sequence[str] | None = None,
    ) -> None:
        """Take in images, or features [b, d], of one side.

        Args:
            images: what the extractor takes, or features.
            real: True for ``real``, False for ``synthetic``.
            side: or the side's name, for metrics of training and held-out images.
            groups: [b] the patient of each row, for every row of the side or for none.

        Raises:
            SynthError: features that are not a matrix, no such side, or groups that the function
                does not take.
        """
        self._take(images, self._named(real, side), groups)

    def forward(
        self, images: Tensor, real: bool | None = None, side: str | None = None, **further: Any
    ) -> Any:
        """Take in a batch as ``update`` does.

        Returns:
            The value of this batch beside the sides in ``keep``, of this process; None where that
            is none: without kept sides a batch of one side is compared with nothing.
        """
        self.update(images, real=real, side=side, **further)
        name = self._named(real, side)
        states: dict[str, list[Tensor]] = {}
        for one in self.sides:
            for state in self._states(one):
                held = getattr(self, state)
                states[state] = list(held) if one in self.keep else held[-1:] * (one == name)
        self._forward_cache = value_of(self, states)  # where Lightning's logger looks
        return self._forward_cache

    def record(self) -> Any:
        """The function's record, or its records by name, over everything seen.

        Inside a distributed run call it within ``sync_context()``; ``compute`` does so itself.

        Raises:
            SynthError: a side without rows, or with names for some of its rows only.
        """
        return type(self).measure(**self._held(), **self.settings)

    def compute(self) -> Any:
        """The value, a float64 scalar; of several records, scalars by name."""
        found = self.record()
        if isinstance(found, Record):
            return self._scalar(found)
        return {name: self._scalar(record) for name, record in found.items()}

    def reset(self) -> None:
        """Forget what was seen, except the sides in ``keep``."""
        # Copies: torchmetrics empties the very lists.
        kept = {
            state: list(getattr(self, state)) for side in self.keep for state in self._states(side)
        }
        super().reset()
        for state, rows in kept.items():
            setattr(self, state, rows)

    def _take(self, images: Tensor, side: str, names: Sequence[object] | None) -> None:
        values = images if self.extractor is None else self.extractor(images)
        rows = type(self).rows(values, side).detach()
        if names is not None:
            if side not in self.names:
                raise UsageError(
                    "the function takes no names of these rows",
                    where=f"{type(self).__name__}, {side}",
                    expected=", ".join(self.names) or "none of any side",
                )
            codes = coded(names, len(rows), where=side).to(rows.device)
            getattr(self, f"{side}_names").append(codes)
        getattr(self, side).append(rows)

    def _held(self) -> dict[str, Any]:
        """The function's arguments."""
        held: dict[str, Any] = {}
        for side in self.sides:
            rows = self._joined(side)
            if rows is None and side not in self.optional:
                raise SynthError("no images were given", where=side)
            if rows is None:
                continue
            held[side] = rows
            codes = self._joined(f"{side}_names") if side in self.names else None
            if codes is not None:
                if len(codes) != len(rows):
                    raise SynthError(
                        "names for some rows only",
                        where=side,
                        got=f"{len(codes)} names, {len(rows)} rows",
                        fix="Give groups with every update of a side, or with none.",
                    )
                held[self.names[side]] = read(codes)
        return held

    def _joined(self, state: str) -> Tensor | None:
        parts = getattr(self, state)
        if isinstance(parts, list) and not parts:
            return None
        joined: Tensor = dim_zero_cat(parts).cpu()
        return joined if joined.numel() else None  # what gathering nothing leaves

    def _states(self, side: str) -> tuple[str, ...]:
        return (side, f"{side}_names") if side in self.names else (side,)

    def _named(self, real: bool | None, side: str | None) -> str:
        name = side or self.usual
        if side is None and real is not None:
            name = "real" if real else "synthetic"
        if name not in self.sides:
            raise UsageError(
                "no such side", where=type(self).__name__, got=name or None, expected=self.sides
            )
        return name

    def _scalar(self, record: Record) -> Tensor:
        value = float("nan") if record.value is None else record.value
        return torch.tensor(value, dtype=torch.float64, device=self.device)
