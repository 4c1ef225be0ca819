"""Which transfer syntaxes this installation decodes, and what to install for the others.

The default installation decodes all but JPEG Lossless and 12-bit JPEG, whose only decoders on PyPI
are GPL (pylibjpeg-libjpeg) or large C++ libraries (GDCM); both stay the user's choice.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydicom import uid as uids
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import UID

from synth.dicom.refusal import Unreadable

_CONVERT = "Convert it, for example: dcmconv +te IN OUT, or gdcmconv --raw IN OUT"
_OPENJPEG = "pip install pylibjpeg pylibjpeg-openjpeg"
_LOSSLESS = "pip install 'medical-image-synthesis[jpeg-lossless]' (GPL decoder)"
_REMEDIES = {
    uids.JPEGBaseline8Bit: "pip install pillow",
    uids.JPEGExtended12Bit: "pip install pylibjpeg pylibjpeg-libjpeg (GPL)",
    uids.JPEGLossless: _LOSSLESS,
    uids.JPEGLosslessSV1: _LOSSLESS,
    uids.JPEGLSLossless: "pip install pyjpegls",
    uids.JPEGLSNearLossless: "pip install pyjpegls",
    uids.JPEG2000Lossless: _OPENJPEG,
    uids.JPEG2000: _OPENJPEG,
    uids.HTJ2KLossless: _OPENJPEG,
    uids.HTJ2KLosslessRPCL: _OPENJPEG,
    uids.HTJ2K: _OPENJPEG,
}
_NATIVE = (
    uids.ImplicitVRLittleEndian,
    uids.ExplicitVRLittleEndian,
    uids.ExplicitVRBigEndian,
    uids.DeflatedExplicitVRLittleEndian,
)
_PACKAGES = {  # plugin of pydicom -> package whose version counts
    "gdcm": "python-gdcm",
    "pillow": "pillow",
    "pydicom": "pydicom",
    "pyjpegls": "pyjpegls",
    "pylibjpeg": "pylibjpeg",
}
_UID = re.compile(r"[0-9.]{1,64}")  # anything else in its place may be a name
_PLUGIN_OF = {"1.2.840.10008.1.2.4.5": "pylibjpeg-libjpeg", "1.2.840.10008.1.2.5": "pylibjpeg-rle"}


@dataclass(frozen=True)
class Decoder:
    """What this machine does with one transfer syntax (PS3.5 sections 8.2 and 10).

    Attributes:
        uid: of the transfer syntax.
        name: its name.
        state: ``works``: a test image came back; ``installed``: a decoder is there, but nothing
            that would make a test image; ``missing``; ``broken``: it is there and fails.
        plugins: versions of the packages that can decode it.
        install: the command that helps; empty if nothing is missing.
        note: limits.
    """

    uid: str
    name: str
    state: Literal["works", "installed", "missing", "broken"]
    plugins: dict[str, str]
    install: str
    note: str = ""


@cache
def _available(uid: UID) -> bool:
    try:
        return bool(get_decoder(uid).is_available)
    except NotImplementedError:
        return False


def check_decoder(uid: UID) -> None:
    """Make sure that this installation decodes the transfer syntax.

    Raises:
        Unreadable: unsupported_transfer_syntax, naming it and the package that helps.
    """
    if not _available(uid):
        name = uid.name if uid.name != str(uid) else "a private or unknown transfer syntax"
        shown = f" ({uid})" if _UID.fullmatch(str(uid)) else ""
        remedy = decoder_remedy(uid)
        raise Unreadable("unsupported_transfer_syntax", f"no decoder for {name}{shown}", remedy)


def decoder_remedy(uid: UID) -> str:
    """What to install, or how to convert, for a transfer syntax that no decoder here reads."""
    return _REMEDIES.get(uid, _CONVERT)


def decoder_table() -> list[Decoder]:
    """Every transfer syntax of still images, tried with a test image where one can be made."""
    return [_try(uid) for uid in (*_NATIVE, uids.RLELossless, *_REMEDIES)]


def _try(uid: UID) -> Decoder:
    note = "8-bit only without pylibjpeg-libjpeg" if uid == uids.JPEGExtended12Bit else ""
    if uid in _NATIVE:
        return Decoder(str(uid), uid.name, "works", _versions(uid, ("pydicom",)), "")
    decoder = get_decoder(uid)
    plugins = _versions(uid, decoder.available_plugins)
    if not decoder.is_available:
        return Decoder(str(uid), uid.name, "missing", plugins, decoder_remedy(uid))
    sample = _sample(uid)
    if sample is None:
        return Decoder(str(uid), uid.name, "installed", plugins, "", note)
    image, dataset = sample
    try:
        error = np.abs(pixel_array(dataset).astype(int) - image).max()
    # a broken plugin may raise anything; that it does is what the table has to say
    except Exception as failure:  # noqa: BLE001
        remedy = decoder_remedy(uid)
        return Decoder(str(uid), uid.name, "broken", plugins, remedy, type(failure).__name__)
    state: Literal["works", "broken"] = "works" if error <= 8 else "broken"  # 8 of 255: lossy ones
    return Decoder(str(uid), uid.name, state, plugins, "", note)


def _versions(uid: UID, plugins: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for plugin in plugins:
        package = _PACKAGES.get(plugin, plugin)
        if plugin == "pylibjpeg":  # the codec decides, not its loader
            codec = next((c for p, c in _PLUGIN_OF.items() if uid.startswith(p)), None)
            package = codec or "pylibjpeg-openjpeg"
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def _sample(uid: UID) -> tuple[np.ndarray, Dataset] | None:
    """A smooth 8-bit test image and its encoding; ``None`` if nothing here encodes it."""
    image = (np.add.outer(np.arange(32), np.arange(32)) * 4).astype(np.uint8)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.Rows, dataset.Columns = image.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0
    if uid in (uids.JPEGBaseline8Bit, uids.JPEGExtended12Bit):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="JPEG", quality=95)
        dataset.file_meta.TransferSyntaxUID = uid
        dataset.PixelData = encapsulate([buffer.getvalue()])
        dataset["PixelData"].VR = "OB"
        return image, dataset
    try:
        options: dict[str, Any] = {"jls_error": 2} if uid == uids.JPEGLSNearLossless else {}
        options |= {"j2k_psnr": [60]} if uid == uids.JPEG2000 else {}
        dataset.compress(uid, image, generate_instance_uid=False, **options)
    # encoders fail in as many ways as decoders; without one there is no test image
    except Exception:  # noqa: BLE001
        return None
    return image, dataset
