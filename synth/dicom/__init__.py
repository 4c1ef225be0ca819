"""DICOM in: bytes to grey levels, budgets before decoding, polarity exactly once."""

from synth.dicom.header import Identity, age_band
from synth.dicom.open import DecodeLimits
from synth.dicom.read import DicomImage, identify, read_grey
from synth.dicom.refusal import Unreadable
from synth.dicom.voi import Voi

__all__ = [
    "DecodeLimits",
    "DicomImage",
    "Identity",
    "Unreadable",
    "Voi",
    "age_band",
    "identify",
    "read_grey",
]
