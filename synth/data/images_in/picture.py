"""One image that is not read yet: a file, or a part of a tar."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth.data.images_in.levels import DECLARED_BY_FILES, Reading, grey_of
from synth.errors import SynthError
from synth.manifest import Row


@dataclass(frozen=True)
class Picture:
    """Where an image lies and what is known of it.

    Attributes:
        name: relative to its folder, or the key and suffix inside its tar.
        path: the file that holds it.
        offset: first byte within the file.
        size: bytes; None is the whole file.
        row: the table row of a dataset or of a WebDataset sample, where there is one.
    """

    name: str
    path: Path
    offset: int = 0
    size: int | None = None
    row: Row | None = None

    def content(self) -> bytes:
        """The encoded image.

        Raises:
            SynthError: the file is gone or cut short.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                content = file.read() if self.size is None else file.read(self.size)
        except FileNotFoundError:
            raise SynthError("image file is missing", where=self.path) from None
        except OSError as error:
            raise SynthError("not a readable file", where=self.path, got=error.strerror) from None
        if self.size is not None and len(content) < self.size:
            raise SynthError("the archive ends inside an image", where=self.path, got=self.name)
        return content

    def sha256(self) -> str:
        """Hex SHA-256 of the encoded image: equal files have equal features."""
        return hashlib.sha256(self.content()).hexdigest()

    def grey(self, reading: Reading = DECLARED_BY_FILES) -> NDArray[np.float32]:
        """float32 [H, W] in [0, 1], at the image's own size and depth.

        Raises:
            SynthError: it cannot be read; never replaced by a black image.
        """
        whole = self.path if self.size is None else None
        return grey_of(self.content(), self.name, reading, path=whole)
