"""An extractor made of any network: preprocessing, a function of tensors, and what names them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from synth.errors import SynthError
from synth.extractors.preprocess import Preprocess

if TYPE_CHECKING:
    from synth.extractors.text_side import TextSide


@dataclass(frozen=True)
class NetworkExtractor:
    """An ``Extractor`` that also takes float images, so that 16-bit data stay whole.

    Attributes:
        name: short, for metric keys.
        id: kind, weights, output and preprocessing.
        weights_sha256: of the weights.
        preprocess: its own.
        dim: length of a feature vector.
        run: float32 [N, C, S, S] -> [N, dim].
        unit_length: whether feature vectors are scaled to length 1.
        device: where ``run`` computes.
        open_texts: opens the text side of a dual encoder, whose feature vectors then lie in one
            space with those of texts; None without one.
    """

    name: str
    id: str
    weights_sha256: str
    preprocess: Preprocess
    dim: int
    run: Callable[[Tensor], Tensor]
    unit_length: bool = False
    device: str = "cpu"
    open_texts: Callable[[], TextSide] | None = None

    @property
    def preprocessing(self) -> str:
        """In words."""
        return self.preprocess.words

    def __call__(self, image_u8: Tensor) -> Tensor:
        """uint8 [N, 1 or 3, H, W] -> float32 [N, dim]."""
        return self.embed(self.preprocess.fit_u8(image_u8))

    @torch.no_grad()
    def embed(self, unit: Tensor) -> Tensor:
        """float32 [N, 1, size, size] in [0, 1] -> float32 [N, dim], on the CPU.

        Raises:
            SynthError: the network gives something else than finite rows.
        """
        # TF32 would keep 10 bits of every product on newer GPUs, and no two kinds would agree.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            found = self.run(self.preprocess.network_input(unit.to(self.device))).float().cpu()
        if found.shape != (len(unit), self.dim) or not bool(torch.isfinite(found).all()):
            raise SynthError(
                "the network does not give one finite vector an image",
                where=self.id,
                got=list(found.shape),
                expected=[len(unit), self.dim],
            )
        return nn.functional.normalize(found, dim=1) if self.unit_length else found


def network_extractor(
    name: str,
    label: str,
    run: Callable[[Tensor], Tensor],
    *,
    weights_sha256: str,
    preprocess: Preprocess,
    output: str,
    unit_length: bool = False,
    device: str = "cpu",
) -> NetworkExtractor:
    """Name an extractor and learn its dimension from one mid-grey image.

    Args:
        name: short, for metric keys.
        label: kind and model: ``hf-vit``.
        run: float32 [N, C, S, S] -> [N, dim].
        weights_sha256: of the weights.
        preprocess: the network's.
        output: which output is taken: ``cls``.
        unit_length: scale feature vectors to length 1.
        device: where ``run`` computes.

    Raises:
        SynthError: the network does not run on such an image, or gives no vector.
    """
    side = preprocess.size
    grey = torch.full((1, 1, side, side), 0.5, device=device)
    try:
        with torch.no_grad():
            shape = tuple(run(preprocess.network_input(grey)).shape)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        first = str(error).strip().splitlines()
        raise SynthError(
            "the network does not take such images",
            where=label,
            got=first[-1] if first else type(error).__name__,
            expected=f"[N, {preprocess.channels}, {side}, {side}]",
        ) from None
    if len(shape) != 2:
        raise SynthError(
            "the network gives no vector an image",
            where=label,
            got=list(shape),
            expected="[N, dim]",
            fix="Choose another output, or pool it.",
        )
    unit = "-unit" if unit_length else ""
    identity = f"{label}-{weights_sha256[:12]}-{output}{unit}@{preprocess.id}"
    return NetworkExtractor(
        name, identity, weights_sha256, preprocess, shape[1], run, unit_length, device
    )


def weights_hash(network: nn.Module, *, without: Collection[str] = ()) -> str:
    """SHA-256 of every parameter and buffer, by name: the same wherever they were loaded from.

    Args:
        network: the network.
        without: names of what no file held, and no feature depends on.
    """
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        if name in without:
            continue
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(f"{name}:{value.dtype}:{tuple(value.shape)}".encode())
        digest.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    return digest.hexdigest()
