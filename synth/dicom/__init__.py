"""DICOM in: bytes to grey levels, budgets before decoding, polarity exactly once."""

from synth.dicom.examine import Probe, identify, probe
from synth.dicom.flags import FLAGS
from synth.dicom.header import Identity, age_band
from synth.dicom.open import DecodeLimits
from synth.dicom.presets import PRESETS, Preset
from synth.dicom.read import DicomImage, read_grey
from synth.dicom.refusal import Unreadable
from synth.dicom.voi import Voi

__all__ = [
    "FLAGS",
    "PRESETS",
    "DecodeLimits",
    "DicomImage",
    "Identity",
    "Preset",
    "Probe",
    "Unreadable",
    "Voi",
    "age_band",
    "identify",
    "probe",
    "read_grey",
]
