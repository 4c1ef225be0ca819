"""Why an image file could not be used: a code for machines, a sentence and a remedy for people."""

from __future__ import annotations

from functools import partial

from synth.errors import SynthError

CODES = (
    "io_error",
    "not_dicom",
    "not_an_image",
    "no_pixels",
    "bad_header",
    "truncated",
    "too_large",
    "unsupported_transfer_syntax",
    "unsupported_format",  # a kind of pixels that is not read: floating point, transparency
    "decode_failed",
    "color_image",
    "non_finite",
    "flat_image",
)


class Unreadable(SynthError):
    """One file is refused; the work goes on without it.

    Args:
        code: one of ``CODES`` (importers add their own), stable across releases.
        detail: what was found; never a value of an identifying tag.
        remedy: what the user can do about it.
        where: the file.
    """

    def __init__(self, code: str, detail: str, remedy: str = "", *, where: object = "") -> None:
        self.code, self.detail, self.remedy = code, detail, remedy
        super().__init__(f"{code}: {detail}", where=where, fix=remedy)

    def at(self, where: object) -> Unreadable:
        """The same refusal, naming the file."""
        return Unreadable(self.code, self.detail, self.remedy, where=where)

    def __reduce__(self) -> tuple[partial[Unreadable], tuple[str, str, str]]:
        return partial(type(self), where=self.where), (self.code, self.detail, self.remedy)
