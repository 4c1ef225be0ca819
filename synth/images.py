"""The one place where image ranges change.

    grey      float32 [H, W] in [0, 1]         what ``synth.dicom`` gives
    image_u8  uint8 [N, C, H, W] in 0..255     what files hold and extractors take
    pixels    float32 [N, C, H, W] in [-1, 1]  what models take

Float to integer rounds: truncating shifts the mean by half a grey level and loses 63 of 256 levels
on a round trip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from synth.errors import SynthError

if TYPE_CHECKING:
    from torch import Tensor


def to_pixels(image_u8: Tensor) -> Tensor:
    """uint8 0..255 -> float32 [-1, 1], any shape."""
    return image_u8.float() / 127.5 - 1.0


def to_image_u8(pixels: Tensor) -> Tensor:
    """Float [-1, 1] -> uint8 0..255, rounding and clamping, any shape."""
    import torch

    return ((pixels.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)


def grey_to_u8(grey: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Float [0, 1] -> uint8 0..255, rounding and clamping, any shape."""
    return np.clip(np.rint(np.asarray(grey, dtype=np.float64) * 255.0), 0, 255).astype(np.uint8)


def fit_square(grey: NDArray[np.floating], size: int, *, pad: float = 0.0) -> NDArray[np.float32]:
    """Pad [H, W] to a centred square (never squash), then resize with antialiasing.

    Args:
        grey: float [H, W] in [0, 1].
        size: side of the result in pixels.
        pad: grey level of the border.

    Returns:
        float32 [size, size] in [0, 1].
    """
    height, width = grey.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.full((side, side), pad, dtype=np.float32)
    square[top : top + height, left : left + width] = grey
    if side == size:
        return square
    resized = Image.fromarray(square, mode=None).resize((size, size), Image.Resampling.LANCZOS)
    return np.clip(np.asarray(resized, dtype=np.float32), 0.0, 1.0)


def fit_square_mask(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Pad [H, W] as ``fit_square`` pads its image, then take the nearest pixels.

    Args:
        mask: bool [H, W], True inside.
        size: side of the result in pixels.

    Returns:
        bool [size, size]; the border is outside.
    """
    height, width = mask.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side), dtype=np.uint8)
    square[top : top + height, left : left + width] = mask
    resized = Image.fromarray(square, mode=None).resize((size, size), Image.Resampling.NEAREST)
    return np.asarray(resized) > 0


def load_grey(path: Path) -> NDArray[np.float32]:
    """Read an image file as float32 [H, W] in [0, 1], keeping 16-bit data whole.

    Colour is averaged with the Rec. 601 weights; alpha is dropped. 16-bit files are divided by
    65535: Pillow's own ``convert("L")`` would clip them to white.

    Raises:
        SynthError: the file is missing, truncated or not an image.
    """
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I;16", "I")):
                return np.asarray(image, dtype=np.float32) / 65535.0
            grey = image.convert("L") if image.mode != "L" else image
            return np.asarray(grey, dtype=np.float32) / 255.0
    except FileNotFoundError:
        raise SynthError("image file is missing", where=path) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SynthError("not a readable image", where=path, got=error) from None


def load_images_u8(paths: Sequence[Path], size: int, *, channels: int = 1) -> Tensor:
    """Read files into uint8 [N, channels, size, size]; grey is repeated over the channels.

    Raises:
        SynthError: a file cannot be read; never replaced by a black image.
    """
    import torch

    batch = np.stack([grey_to_u8(fit_square(load_grey(path), size)) for path in paths])
    return torch.from_numpy(batch)[:, None].repeat(1, channels, 1, 1)


def save_png(
    path: Path,
    image: NDArray[np.uint8] | NDArray[np.uint16],
    *,
    text: Mapping[str, str] | None = None,
    level: int = 6,
) -> bytes:
    """Write [H, W] uint8 or uint16 as a one-channel PNG, atomically; return the file's bytes.

    Args:
        path: where to write.
        image: the grey levels.
        text: keywords and values that travel inside the file, as UTF-8 iTXt chunks.
        level: of compression: 1 is fast, 9 small; the pixels are the same.
    """
    from io import BytesIO

    from synth.manifest import write_bytes

    chunks = PngInfo()
    for key, value in (text or {}).items():
        chunks.add_itxt(key, value)
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=level, pnginfo=chunks)
    write_bytes(path, buffer.getvalue())
    return buffer.getvalue()


def grid(image_u8: NDArray[np.uint8], columns: int, *, gap: int = 2) -> NDArray[np.uint8]:
    """Tile uint8 [N, H, W] row by row into one [H', W'] sheet with a mid-grey gap."""
    count, height, width = image_u8.shape
    rows = -(-count // columns)
    sheet = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap), 128, dtype=np.uint8
    )
    for index, image in enumerate(image_u8):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet
