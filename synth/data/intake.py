"""Every image of a source accounted for: kept from an earlier run, new, duplicate or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from synth.data.contents import Content, read_contents
from synth.data.convert import Converted, ConvertOptions, convert_all
from synth.data.importers.base import Record
from synth.data.inputs import Input
from synth.data.journal import Journal, read_rows
from synth.data.ledger import Ledger
from synth.data.quarantine import QuarantineRow
from synth.data.reading import Reader
from synth.data.rows import report_id
from synth.dicom import Identity, Unreadable, identify
from synth.progress import Progress


@dataclass(frozen=True)
class Intake:
    """One pass over the images of a source.

    Attributes:
        images: what has to be accounted for.
        out: the dataset.
        reader: what makes rows.
        pixels: what decides the pixels.
        record_ids: one for each of the records, in their order.
    """

    images: tuple[Input, ...]
    out: Path
    reader: Reader
    pixels: ConvertOptions
    record_ids: tuple[str, ...]

    def run(self, workers: int, progress: Progress) -> Ledger:
        """Account for every image: kept from earlier, duplicate, refused or newly converted."""
        rows = read_rows(self.out)
        ledger = Ledger(rows, {str(row["sha256"]): name for name, row in rows.items()})
        progress.stage("reading the files")
        contents, unreadable = read_contents(self.images, len(self.images), progress)
        for item, refusal in unreadable:
            ledger.refuse(item, "", refusal, Identity())
            ledger.claimed |= self.reader.ids_of(item, Identity())
        todo = self._todo(contents, ledger, progress)
        progress.stage("converting images")
        with Journal(self.out) as journal:
            converted_all = convert_all(
                [content.first for content in todo], self.pixels, workers=workers
            )
            for content, converted in zip(todo, converted_all, strict=True):
                if self._sample_id(content) in ledger.rows:
                    self._update(content, converted, ledger, journal, progress)
                else:
                    self._admit(content, converted, ledger, journal)
                done = ledger.ok + ledger.quarantined + ledger.duplicates
                progress.update(done, len(self.images), str(ledger))
        return ledger

    def _sample_id(self, content: Content) -> str:
        return self.reader.pseudonyms.name("image", content.sha256)

    def _todo(
        self, contents: Sequence[Content], ledger: Ledger, progress: Progress
    ) -> list[Content]:
        """The contents to convert; those kept as they are, and archives, are entered at once."""
        todo: list[Content] = []
        outdated = self._outdated(ledger.rows)
        for content in contents:
            row = ledger.rows.get(self._sample_id(content))
            if content.first.kind == "archive":
                for item in (content.first, *content.copies):
                    ledger.refuse(item, content.sha256, archive_refusal(), Identity())
            elif row is None or (
                row["sample_id"] in outdated and self._has_other(content, row, ledger, progress)
            ):
                todo.append(content)
            else:
                self._keep(content, ledger)
        return todo

    def _keep(self, content: Content, ledger: Ledger) -> None:
        """Count an image of an earlier run, and its copies."""
        ledger.ok += 1
        if content.copies:
            identity = self._identity(content.first)
            ledger.repeat(content.copies, content.sha256, self._sample_id(content), identity)

    def _identity(self, item: Input) -> Identity:
        """Identifiers of a file that was decoded once already, so reading it here is safe."""
        return identify(item.path, self.pixels.limits) if item.kind == "dicom" else Identity()

    def _outdated(self, rows: dict[str, dict[str, Any]]) -> set[str]:
        """Rows whose report is no longer there word for word, if any other could replace it."""
        now = set(self.record_ids)
        if now <= {row["report_id"] for row in rows.values()}:
            return set()
        return {name for name, row in rows.items() if row["report_id"] not in now}

    def _has_other(
        self, content: Content, row: dict[str, Any], ledger: Ledger, progress: Progress
    ) -> bool:
        """Whether the image has another report now than the one its row was made from."""
        identity = self._identity(content.first)
        try:
            record = self.reader.imported.find(content.first.name, identity)
        except Unreadable as refusal:
            self._not_updated(content, identity, refusal, ledger, progress)
            return False
        # taken away, not edited: what was prepared from it stays
        return record is not None and (
            report_id(self.reader.pseudonyms, record) != row["report_id"]
        )

    def _not_updated(
        self,
        content: Content,
        identity: Identity,
        refusal: Unreadable,
        ledger: Ledger,
        progress: Progress,
    ) -> None:
        ledger.claimed |= self.reader.ids_of(content.first, identity)
        name = self._sample_id(content)
        progress.note(f"changed report not used, earlier text kept: {name} ({refusal.code})")

    def _update(
        self,
        content: Content,
        converted: Converted,
        ledger: Ledger,
        journal: Journal,
        progress: Progress,
    ) -> None:
        """Rebuild the row of an image whose report changed; the image, its ids and split stay."""
        self._keep(content, ledger)
        name = self._sample_id(content)
        kept = ledger.rows[name]
        try:
            content.check_unchanged()
            row, _ = self.reader.row(converted, name)
        except Unreadable as refusal:
            self._not_updated(content, converted.identity, refusal, ledger, progress)
            return
        same = ("patient_id", "study_id", "sha256", "split")
        row |= {key: kept[key] for key in same}
        journal.add(row, (self.out / row["file_name"]).read_bytes())
        ledger.rows[name] = row
        ledger.updated += 1

    def _admit(
        self, content: Content, converted: Converted, ledger: Ledger, journal: Journal
    ) -> None:
        """Take in a new image, or record why not, for it and its copies."""
        items = (content.first, *content.copies)
        try:
            content.check_unchanged()
            row, record = self.first_row(content, converted)
        except Unreadable as refusal:
            for item in items:
                ledger.refuse(item, content.sha256, refusal, converted.identity)
                ledger.claimed |= self.reader.ids_of(item, converted.identity)
            return
        twin = ledger.by_content.get(converted.sha256)
        if twin is not None:
            ledger.repeat(items, content.sha256, twin, converted.identity)
            ledger.claimed |= self.reader.ids_of(content.first, converted.identity)
            return
        journal.add(row, converted.png)
        ledger.admit(row, converted.sha256)
        ledger.without_record += record is None
        ledger.repeat(content.copies, content.sha256, str(row["sample_id"]), converted.identity)

    def first_row(
        self, content: Content, converted: Converted
    ) -> tuple[dict[str, Any], Record | None]:
        """The row under the first path that has a usable report.

        Raises:
            Unreadable: none has; the reason is that of the first path.
        """
        name = self._sample_id(content)
        try:
            return self.reader.row(converted, name)
        except Unreadable as refusal:
            for item in content.copies if converted.refusal is None else ():
                try:
                    return self.reader.row(replace(converted, item=item), name)
                except Unreadable:
                    continue
            raise refusal from None

    def unclaimed(self, ledger: Ledger) -> list[QuarantineRow]:
        """Records that belong to no image of the dataset or the quarantine.

        A second copy of a report, with the same text and a key in common, counts with the first;
        one with another text is a rival that came too late.
        """
        records = self.reader.imported.all
        used = {row["report_id"] for row in ledger.rows.values()}
        taken: dict[tuple[str, str], set[str]] = {}
        for record, name in zip(records, self.record_ids, strict=True):
            if name in used or name in ledger.claimed:
                for key in record.keys:
                    taken.setdefault(key, set()).add(record.text)
        lost = []
        for record, name in zip(records, self.record_ids, strict=True):
            texts = [taken[key] for key in record.keys if key in taken]
            if name in used or name in ledger.claimed or any(record.text in t for t in texts):
                continue
            lost.append(QuarantineRow.unclaimed(record, rival=bool(texts) and not record.image))
        return lost


def archive_refusal() -> Unreadable:
    """An archive may hold images, bombs and paths that lead elsewhere: it is not opened."""
    return Unreadable("archive", "archives are never unpacked", "Unpack it into the source")
