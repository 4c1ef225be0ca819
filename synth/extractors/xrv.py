"""TorchXRayVision's DenseNet121 (extra ``xrv``): 1024 features of chest radiographs.

``features2`` is the pooled output after its rectification; ``features`` would be raw maps. Images
lie in [-1024, 1024], which the package itself only warns of when it is not so.
"""

from __future__ import annotations

from typing import Any

from synth.errors import SynthError
from synth.extractors.extra import optional
from synth.extractors.network import NetworkExtractor, network_extractor, weights_hash
from synth.extractors.preprocess import Preprocess

_PREPROCESS = Preprocess(size=224, channels=1, resize="bilinear", low=-1024.0, high=1024.0)


def load(where: str, *, device: str = "cpu") -> NetworkExtractor:
    """Open a DenseNet by the name of its weights: ``densenet121-res224-all``.

    Raises:
        Unavailable: torchxrayvision is not installed.
        SynthError: no such weights.
    """
    package = optional("torchxrayvision", "xrv", "a TorchXRayVision extractor")
    try:
        model: Any = package.models.DenseNet(weights=where)
    except (RuntimeError, OSError, KeyError, ValueError, AttributeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SynthError("TorchXRayVision has no such weights", got=where, expected=first) from None
    model.to(device).eval().requires_grad_(False)
    return network_extractor(
        "xrv",
        f"xrv-{where}",
        lambda pixels: model.features2(pixels),
        weights_sha256=weights_hash(model),
        preprocess=_PREPROCESS,
        output="features2",
        device=device,
    )
