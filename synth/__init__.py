"""Medical image synthesis: clinical data in, labelled synthetic datasets out, scored.

The documented face. Names are looked up on first use (PEP 562), so ``import synth`` is instant and
imports no torch.

    config = synth.load_config("configs/demo.yaml", ["train.steps=100"])
    synth.prepare(Path("hospital-export"), Path("dataset"))
    result = synth.fit(config)
    family = synth.load_family(config.model, device=device, dtype=dtype)
    images = synth.generate(family, prompts, seeds=range(4), settings=config.sample)
    scores = synth.evaluate(real=..., synthetic=..., settings=config.metrics, out=None)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metrics.run import evaluate
    from sample.generate import generate_images as generate
    from synth.config import load_config
    from synth.data.prepare import prepare
    from synth.families import load_family
    from train.run import fine_tune as fit

    __version__: str

__all__ = [
    "__version__",
    "evaluate",
    "fit",
    "generate",
    "load_config",
    "load_family",
    "prepare",
]

_PLACES = {
    "evaluate": "metrics.run:evaluate",
    "fit": "train.run:fine_tune",
    "generate": "sample.generate:generate_images",
    "load_config": "synth.config:load_config",
    "load_family": "synth.families:load_family",
    "prepare": "synth.data.prepare:prepare",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("synth.provenance").project_version()
    if name in _PLACES:
        module, _, attribute = _PLACES[name].partition(":")
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
