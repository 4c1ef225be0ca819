"""An ONNX file with a YAML spec beside it, run by onnxruntime (extra ``onnx``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synth.errors import SynthError
from synth.extractors.extra import optional
from synth.extractors.network import NetworkExtractor, network_extractor
from synth.extractors.spec import Spec, read_spec
from synth.manifest import sha256_file


def load(where: str, *, device: str = "cpu") -> NetworkExtractor:
    """Open ``model.onnx`` by the words of ``model.yaml``; onnxruntime computes on the CPU.

    Raises:
        Unavailable: onnxruntime is not installed.
        SynthError: a file is missing or damaged, or the network does not fit the spec.
    """
    del device
    path = Path(where)
    spec = read_spec(path)
    runtime = optional("onnxruntime", "onnx", "an ONNX extractor")
    try:
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    # onnxruntime raises classes of its own C++ module, which cannot be imported by name
    except Exception as error:  # noqa: BLE001
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SynthError("not an ONNX file that can be read", where=path, got=first) from None
    given = session.get_inputs()[0].name
    taken = _output_name([item.name for item in session.get_outputs()], spec, path)

    def run(pixels: Tensor) -> Tensor:
        found: Any = session.run([taken], {given: pixels.cpu().numpy()})[0]
        return spec.pooled(torch.from_numpy(found))

    return network_extractor(
        spec.name or path.stem,
        f"onnx-{path.stem}",
        run,
        weights_sha256=sha256_file(path),
        preprocess=spec.preprocess,
        output=spec.output_words,
        unit_length=spec.unit_length,
    )


def _output_name(names: list[str], spec: Spec, path: Path) -> str:
    if isinstance(spec.output, str) and spec.output in names:
        return spec.output
    if isinstance(spec.output, int) and 0 <= spec.output < len(names):
        return names[spec.output]
    raise SynthError(
        "no such output", where=path, got=spec.output, expected=f"0 to {len(names) - 1}, or {names}"
    )
