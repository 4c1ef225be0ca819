"""Every path of a source by what becomes of it: an image, read as words, unreadable or skipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from synth.data.importers.base import Problem
from synth.data.importers.index import Imported, index_records
from synth.data.inputs import Input, scan
from synth.data.quarantine import QuarantineRow
from synth.data.source_masks import set_masks_aside
from synth.errors import SynthError
from synth.progress import Progress

_ABOUT_FILES = ("table_unreadable", "text_unreadable", "xml_refused")  # not about one row


@dataclass(frozen=True)
class Survey:
    """The paths of a source, each in one of these lists.

    Attributes:
        source: the folder.
        imported: what tables and texts say.
        images: what must come out as ok, quarantined or duplicate.
        used: tables, texts and terms of use that were read.
        broken: tables and texts that cannot be read to their end.
        skipped: the rest, each with its code.
        rows: for the quarantine, about ``broken`` and ``skipped``, and about unusable rows.
    """

    source: Path
    imported: Imported
    images: tuple[Input, ...]
    used: tuple[Input, ...]
    broken: tuple[Input, ...]
    skipped: tuple[Input, ...]
    rows: tuple[QuarantineRow, ...]

    @property
    def files(self) -> int:
        """How many paths there are."""
        return len(self.images) + len(self.used) + len(self.broken) + len(self.skipped)


def survey(source: Path, terms: Path | None, progress: Progress) -> Survey:
    """Look at every path once, and read tables and texts.

    Args:
        source: the folder.
        terms: the file with the terms of use if it is not ``SOURCE/terms.txt``.
        progress: told of sources that were recognised and tables that were not.

    Raises:
        SynthError: there is no image.
    """
    progress.stage("reading the source folder")
    inputs = set_masks_aside(scan(source))
    progress.stage("reading tables and reports")
    imported = index_records(inputs)
    for note in imported.notes:
        progress.note(note)
    images = tuple(item for item in inputs.images if item.name not in imported.used)
    if not images:
        raise SynthError(
            "no images found",
            where=source,
            got=", ".join(f"{count} {kind}" for kind, count in inputs.counts.items()),
            expected="DICOM, PNG or JPEG files",
        )
    whole, rows = _problems(imported.problems)
    accounted = {item.name for item in images} | whole
    read = imported.used | {item.name for item in inputs.files if _is_terms(item, terms)}
    used = tuple(item for item in inputs.files if item.name not in accounted and item.name in read)
    accounted |= {item.name for item in used}
    skipped = tuple(_skip(item) for item in inputs.files if item.name not in accounted)
    return Survey(
        source=source,
        imported=imported,
        images=images,
        used=used,
        broken=tuple(item for item in inputs.files if item.name in whole),
        skipped=skipped,
        rows=(*rows, *(QuarantineRow.skipped(item) for item in skipped)),
    )


def _problems(problems: Sequence[Problem]) -> tuple[set[str], list[QuarantineRow]]:
    """The names of unreadable files, and a row for each problem; one a file about the whole."""
    whole: set[str] = set()
    rows = []
    for problem in problems:
        row = QuarantineRow.unread(problem, whole=problem.code in _ABOUT_FILES)
        if row.kind == "table" and row.path in whole:
            continue
        whole |= {row.path} if row.kind == "table" else set()
        rows.append(row)
    return whole, rows


def _is_terms(item: Input, terms: Path | None) -> bool:
    return item.path.absolute() == terms.absolute() if terms else item.kind == "terms"


def _skip(item: Input) -> Input:
    """A table or text that nobody read gets its reason."""
    if item.code:
        return item
    code = "documentation" if item.kind == "terms" else "table_not_understood"
    return replace(item, kind="skipped", code=code)
