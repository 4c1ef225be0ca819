"""A TorchScript file with a YAML spec beside it: any network, without its code."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synth.errors import SynthError
from synth.extractors.network import NetworkExtractor, network_extractor
from synth.extractors.spec import Spec, read_spec
from synth.manifest import sha256_file


def load(where: str, *, device: str = "cpu") -> NetworkExtractor:
    """Open ``model.pt`` by the words of ``model.yaml``.

    Raises:
        SynthError: a file is missing or damaged, or the network does not fit the spec.
    """
    path = Path(where)
    spec = read_spec(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch announces its successor at every load
            network: Any = torch.jit.load(path, map_location=device)
    except (RuntimeError, ValueError) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise SynthError("not a TorchScript file", where=path, got=first) from None
    network.eval()
    return network_extractor(
        spec.name or path.stem,
        f"torchscript-{path.stem}",
        lambda pixels: spec.pooled(_chosen(network(pixels), spec)),
        weights_sha256=sha256_file(path),
        preprocess=spec.preprocess,
        output=spec.output_words,
        unit_length=spec.unit_length,
        device=device,
    )


def _chosen(found: Any, spec: Spec) -> Tensor:
    if isinstance(found, Tensor):
        return found
    try:
        value: Tensor = found[spec.output]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"no output {spec.output!r}: {error}") from None
    return value
