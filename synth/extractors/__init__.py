"""Image → features, and image → finding probabilities; each extractor owns its preprocessing.

``synth.extractors.base`` states the contract, ``EXTRACTORS`` names those that need no training, and
``synth.extractors.classifier`` fits a small judge on labelled images. Nothing here imports torch
before an extractor is built.
"""

from __future__ import annotations

from synth.registry import Registry

EXTRACTORS = Registry(
    "extractor",
    {
        "pixel": "synth.extractors.pixel:PixelExtractor",
        "random-conv": "synth.extractors.random_conv:RandomConvExtractor",
    },
)

__all__ = ["EXTRACTORS"]
