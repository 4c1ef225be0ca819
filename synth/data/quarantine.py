"""``quarantine.jsonl``: what did not get in, why, and what to do about it.

Every path under the source is an image of the dataset, a table, report or terms file that was read,
or has exactly one row here of kind ``image``, ``duplicate``, ``table`` or ``skipped``. Rows of kind
``report`` and ``row`` are about a report or a line of a table, whose path is ``NAME`` or
``NAME:LINE``.

Codes are stable across releases. Those of images are in :data:`synth.dicom.refusal.CODES` and in
:data:`IMAGE_CODES`, those of kind ``skipped`` in :data:`SKIPPED`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict

from synth.data.importers.base import Problem, Record
from synth.data.inputs import IMAGE_SUFFIXES, Input
from synth.dicom import Identity, Unreadable
from synth.errors import SynthError

NAME = "quarantine.jsonl"
REMOVED = "[removed]"

IMAGE_CODES = {  # code -> meaning; besides those of ``synth.dicom``
    "empty_file": "no bytes",
    "html_instead_of_image": "a login page saved under an image's name",
    "lfs_pointer": "a Git LFS or git-annex pointer",
    "unsupported_format": "an image format that is not read: JPEG 2000 files, NIfTI, NumPy, …",
    "archive": "a zip, tar or gzip file; archives are never unpacked",
    "truncated_image": "a PNG or JPEG that ends too early",
    "corrupt_image": "a PNG or JPEG that does not decode",
    "io_error": "it cannot be read, or vanished during the run",
    "changed_during_read": "it was written to during the run",
    "decode_timeout": "the decoder took longer than its budget",
    "decode_memory": "the decoder took more memory than its budget",
    "decode_crash": "the decoder ended its process",
    "no_report": "no table or text says anything about it",
    "ambiguous_report": "two different reports claim it",
    "empty_report": "its report has no words",
    "bad_label": "a label cell is neither present, absent, uncertain nor empty",
    "excluded_view": "not one of the views asked for",
    "excluded_view_unknown": "views were asked for and it states none",
}  # and ``excluded_<flag>`` for each flag of ``--exclude``

SKIPPED = {  # code -> detail, remedy
    "not_an_image": ("neither an image nor a table nor a report", ""),
    "not_a_regular_file": (
        "a link, pipe, socket, device or folder under a file's name; never opened",
        "Copy the file itself into the source if it is wanted",
    ),
    "hidden": ("a hidden file, or inside a hidden folder", "Rename it if it is wanted"),
    "partial_file": ("a lock, or a file that is still being written", "Finish the download"),
    "dicomdir": ("an index of DICOM files, not an image", ""),
    "documentation": ("a readme, licence or checksum list", ""),
    "mask": (
        "a table names it in mask_file_name; masks are not carried over",
        "Fit it to the prepared image and name it in that image's row",
    ),
    "table_not_understood": (
        "no column names both an image or study and a report or finding",
        "Export it as CSV with the columns image (or accession) and report, or labels",
    ),
}


class QuarantineRow(BaseModel):
    """One path or line that did not get in, by its path in the source.

    A part of the path that holds an identifier of the file's own header reads ``[removed]``; other
    parts may still name patients, so the file stays with the owner of the source and is not hashed
    as part of the dataset. Details never quote a header.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    kind: Literal["image", "duplicate", "table", "report", "row", "skipped"]
    code: str
    detail: str
    remedy: str = ""
    sha256: str = ""
    duplicate_of: str | None = None

    @classmethod
    def of(cls, path: str, sha256: str, refusal: Unreadable, identity: Identity) -> QuarantineRow:
        """A refused image."""
        return cls(
            path=masked(path, identity),
            kind="image",
            code=refusal.code,
            detail=refusal.detail,
            remedy=refusal.remedy,
            sha256=sha256,
        )

    @classmethod
    def duplicate(cls, path: str, sha256: str, sample_id: str, identity: Identity) -> QuarantineRow:
        """An image whose content is in the dataset already."""
        return cls(
            path=masked(path, identity),
            kind="duplicate",
            code="duplicate",
            detail="the same pixels are in the dataset already",
            sha256=sha256,
            duplicate_of=sample_id,
        )

    @classmethod
    def skipped(cls, item: Input) -> QuarantineRow:
        """A path that is no image and was not read."""
        detail, remedy = SKIPPED[item.code]
        return cls(path=item.name, kind="skipped", code=item.code, detail=detail, remedy=remedy)

    @classmethod
    def unread(cls, problem: Problem, *, whole: bool) -> QuarantineRow:
        """A table or text that cannot be read on from some line, or one unusable row of it."""
        name, _, line = problem.where.rpartition(":")
        at_line = bool(name) and line.isdecimal()
        return cls(
            path=name if whole and at_line else problem.where,
            kind="table" if whole else "row",
            code=problem.code,
            detail=f"line {line}: {problem.detail}" if whole and at_line else problem.detail,
            remedy=problem.remedy,
        )

    @classmethod
    def unclaimed(cls, record: Record, *, rival: bool) -> QuarantineRow:
        """A report or table row that belongs to no image; a rival of one that does."""
        if rival:
            return cls(
                path=record.where,
                kind="report",
                code="ambiguous_report",
                detail="another report of the same image or study is in use",
                remedy="Keep one report a study",
            )
        if record.image:
            return cls(
                path=record.where,
                kind="row",
                code="missing_file",
                detail="the image that this row promises is not there",
                remedy="Add the image, or ignore it",
            )
        return cls(
            path=record.where,
            kind="report",
            code="report_without_image",
            detail="no image in the dataset uses this report",
            remedy="Add its image, or ignore it",
        )


def nothing_usable(source: Path, refused: Sequence[QuarantineRow], *, fix: str) -> SynthError:
    """The error that every image was refused, with the commonest reasons."""
    codes = Counter(row.code for row in refused if row.kind == "image").most_common(3)
    return SynthError(
        "no image could be used",
        where=source,
        got=", ".join(f"{count} x {code}" for code, count in codes),
        fix=fix,
    )


def masked(name: str, identity: Identity) -> str:
    """A path without the parts that hold an identifier of the file's own header.

    Looked for are patient id, accession number and all names, from three characters on and whatever
    their case; UIDs stay, since public archives name their files by them. A suffix stays too.

    >>> masked("in/DOE_7/1.dcm", Identity(values=("DOE",)))
    'in/[removed]/1.dcm'
    """
    values = (identity.patient, identity.accession, *identity.values)
    words = [value.casefold() for value in values if len(value) >= 3 and not _is_uid(value)]

    def holds(text: str) -> bool:
        return any(word in text.casefold() for word in words)

    path = PurePosixPath(name)
    parts = [REMOVED if holds(part) else part for part in path.parent.parts]
    suffix = path.suffix if path.suffix.lower() in IMAGE_SUFFIXES else ""
    return "/".join([*parts, REMOVED + suffix if holds(path.name) else path.name])


def _is_uid(value: str) -> bool:
    return re.fullmatch(r"[\d.]+", value) is not None and value.count(".") >= 3
