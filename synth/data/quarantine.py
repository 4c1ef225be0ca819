"""``quarantine.jsonl``: what did not get in, why, and what to do about it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from synth.dicom import Unreadable

NAME = "quarantine.jsonl"


class QuarantineRow(BaseModel):
    """One refused input, by its path in the source.

    Paths may name patients: the file stays with the owner of the source and is not hashed as part
    of the dataset. Details never quote a header.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    kind: Literal["image", "duplicate", "report"]
    code: str
    detail: str
    remedy: str = ""
    sha256: str = ""
    duplicate_of: str | None = None

    @classmethod
    def of(cls, path: str, sha256: str, refusal: Unreadable) -> QuarantineRow:
        """A refused image."""
        return cls(
            path=path,
            kind="image",
            code=refusal.code,
            detail=refusal.detail,
            remedy=refusal.remedy,
            sha256=sha256,
        )

    @classmethod
    def duplicate(cls, path: str, sha256: str, sample_id: str) -> QuarantineRow:
        """An image whose content is in the dataset already."""
        return cls(
            path=path,
            kind="duplicate",
            code="duplicate",
            detail="the same pixels are in the dataset already",
            sha256=sha256,
            duplicate_of=sample_id,
        )

    @classmethod
    def unclaimed(cls, where: str) -> QuarantineRow:
        """A report without an image."""
        return cls(
            path=where,
            kind="report",
            code="report_without_image",
            detail="no image in the dataset uses this report",
            remedy="Add its image, or ignore it",
        )
