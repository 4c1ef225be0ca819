"""torch-fidelity's InceptionV3 (extra ``inception``), 2048 features: the network behind "FID".

The network takes bytes 0..255 and resizes them itself as TensorFlow 1 did, without antialiasing.
Here it gets images that were padded and resized to 299 px with antialiasing, which it then leaves
alone, rounded to bytes because it reads nothing else. Numbers therefore differ from those of tools
that squash and alias; ``metrics.compat`` is for those.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synth.errors import SynthError
from synth.extractors.extra import optional
from synth.extractors.network import NetworkExtractor, network_extractor
from synth.extractors.preprocess import Preprocess
from synth.manifest import sha256_file

_PREPROCESS = Preprocess(size=299, channels=3, resize="bilinear", low=0.0, high=255.0)


def load(where: str, *, device: str = "cpu") -> NetworkExtractor:
    """Open the network with a local ``weights-inception-2015-12-05-6726825d.pth``.

    Raises:
        Unavailable: torch-fidelity is not installed.
        SynthError: the file is missing or not those weights.
    """
    path = Path(where)
    if not path.is_file():
        raise SynthError(
            "no such weights",
            where=path,
            expected="weights-inception-2015-12-05-6726825d.pth of torch-fidelity",
        )
    module = optional("torch_fidelity.feature_extractor_inceptionv3", "inception", "Inception")
    try:
        network: Any = module.FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path)
        )
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SynthError("not Inception weights", where=path, got=first) from None
    network.to(device).eval().requires_grad_(False)

    def run(pixels: Tensor) -> Tensor:
        features: Tensor = network(pixels.round().to(torch.uint8))[0]
        return features

    return network_extractor(
        "inception",
        "inception",
        run,
        weights_sha256=sha256_file(path),
        preprocess=_PREPROCESS,
        output="2048",
        device=device,
    )
