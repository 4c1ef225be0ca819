"""From what a user writes to an extractor: ``random-conv``, ``hf:PATH``, ``model.onnx``.

    pixel, random-conv          weight-free
    hf:FOLDER or hf:OWNER/NAME  any Hugging Face vision model: ViT, DINOv2, CLIP, SigLIP, RAD-DINO
    torchscript:FILE            with FILE's YAML spec beside it
    onnx:FILE                   the same (extra ``onnx``)
    timm:NAME                   (extra ``timm``)
    open_clip:NAME              BiomedCLIP and its like (extra ``open-clip``)
    xrv:WEIGHTS                 TorchXRayVision's DenseNet (extra ``xrv``)
    inception:WEIGHTS           torch-fidelity's Inception (extra ``inception``)

A path alone is recognised by what it is: a model folder, ``.pt`` or ``.onnx``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synth.errors import UsageError
from synth.extractors import EXTRACTORS
from synth.registry import Registry, did_you_mean

if TYPE_CHECKING:
    from synth.extractors.base import Extractor

LOADERS = Registry(
    "kind of extractor",
    {
        "hf": "synth.extractors.hf_vision:load",
        "torchscript": "synth.extractors.torchscript:load",
        "onnx": "synth.extractors.onnx:load",
        "timm": "synth.extractors.timm_model:load",
        "open_clip": "synth.extractors.open_clip_model:load",
        "xrv": "synth.extractors.xrv:load",
        "inception": "synth.extractors.inception:load",
    },
)
_SUFFIXES = {".onnx": "onnx", ".pt": "torchscript", ".ts": "torchscript", ".pth": "torchscript"}


def open_extractor(text: str, *, device: str = "cpu") -> Extractor:
    """The extractor a description names.

    Args:
        text: as above.
        device: a torch device name, for networks.

    Raises:
        UsageError: nothing is known by that name.
        Unavailable: an extra is not installed.
        SynthError: the weights cannot be read.
    """
    if text in EXTRACTORS.names():
        extractor: Extractor = EXTRACTORS.get(text)()
        return extractor
    kind, separator, where = text.partition(":")
    if not (separator and kind in LOADERS.names()):
        kind, where = _recognised(text), text
    if not where:
        raise UsageError("the extractor lacks its weights", got=text, expected=f"{kind}:WEIGHTS")
    loaded: Extractor = LOADERS.get(kind)(where, device=device)
    return loaded


def _recognised(text: str) -> str:
    path = Path(text)
    if (path / "config.json").is_file():
        return "hf"
    if path.is_file() and path.suffix.lower() in _SUFFIXES:
        return _SUFFIXES[path.suffix.lower()]
    known = (*EXTRACTORS.names(), *(f"{name}:…" for name in LOADERS.names()))
    raise UsageError(
        "unknown extractor",
        got=text,
        expected=", ".join(known),
        fix=did_you_mean(text.partition(":")[0], [*EXTRACTORS.names(), *LOADERS.names()]),
    )
