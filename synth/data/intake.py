"""Every image of a source accounted for: kept from an earlier run, new, duplicate or refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synth.data.convert import Converted, ConvertOptions, convert_all
from synth.data.inputs import Input, Inputs
from synth.data.journal import Journal, read_rows
from synth.data.pseudonyms import Pseudonyms
from synth.data.quarantine import QuarantineRow
from synth.data.reports import Report, ReportIndex
from synth.data.rows import TextOptions, make_row, report_id
from synth.dicom import Identity, Unreadable
from synth.manifest import sha256_file
from synth.progress import Progress


@dataclass
class Ledger:
    """What is known of each input while the run goes on."""

    rows: dict[str, dict[str, Any]]  # sample id -> row, earlier runs included
    by_content: dict[str, str]  # PNG hash -> sample id
    ok: int = 0
    new: int = 0
    updated: int = 0
    duplicates: int = 0
    quarantine: list[QuarantineRow] = field(default_factory=list)
    refusals: dict[str, Unreadable] = field(default_factory=dict)  # by content hash
    claimed: set[str] = field(
        default_factory=set
    )  # ids of reports that mean an image of the source

    def refuse(self, item: Input, sha256: str, refusal: Unreadable) -> None:
        """Record an image that does not get in."""
        self.quarantine.append(QuarantineRow.of(item.name, sha256, refusal))
        self.refusals[sha256] = refusal

    def duplicate(self, item: Input, sha256: str, sample_id: str) -> None:
        """Record an image whose content is in the dataset already."""
        self.duplicates += 1
        self.quarantine.append(QuarantineRow.duplicate(item.name, sha256, sample_id))


@dataclass(frozen=True)
class Intake:
    """One pass over the inputs."""

    inputs: Inputs
    index: ReportIndex
    out: Path
    pseudonyms: Pseudonyms
    text: TextOptions
    pixels: ConvertOptions
    require_report: bool

    def convert_new(self, workers: int, progress: Progress) -> Ledger:
        """Account for every image: kept from earlier, duplicate, refused or newly converted."""
        rows = read_rows(self.out)
        ledger = Ledger(rows, {str(row["sha256"]): name for name, row in rows.items()})
        todo, copies, hashes = self._sort_out(ledger, self._outdated(rows))
        progress.stage("converting images")
        total, done = len(self.inputs.images), len(self.inputs.images) - len(todo)
        with Journal(self.out) as journal:
            for converted in convert_all(todo, self.pixels, workers=workers):
                sha256 = hashes[converted.item.name]
                kept = ledger.rows.get(self._sample_id(sha256))
                if kept is not None:
                    self._update(converted, kept, ledger, journal, progress)
                else:
                    self._admit(converted, sha256, ledger, journal)
                done += 1
                progress.update(done, total, "images")
        for item in copies:
            sha256 = hashes[item.name]
            if sha256 in ledger.refusals:  # what is wrong with a file is wrong with its copies
                ledger.refuse(item, sha256, ledger.refusals[sha256])
            else:
                ledger.duplicate(item, sha256, self._sample_id(sha256))
        return ledger

    def _outdated(self, rows: dict[str, dict[str, Any]]) -> set[str]:
        """Rows whose report is no longer there word for word, if any other could replace it."""
        now = {report_id(self.pseudonyms, report) for report in self.index.all}
        if now <= {row["report_id"] for row in rows.values()}:
            return set()
        return {name for name, row in rows.items() if row["report_id"] not in now}

    def _sort_out(
        self, ledger: Ledger, outdated: set[str]
    ) -> tuple[list[Input], list[Input], dict[str, str]]:
        """The images to convert, the copies of others, and the content hash of each input."""
        todo: list[Input] = []
        copies: list[Input] = []
        hashes: dict[str, str] = {}
        seen: set[str] = set()
        for item in self.inputs.images:
            try:
                sha256 = sha256_file(item.path)
            except OSError as error:
                refusal = Unreadable("io_error", f"cannot be read: {error.strerror}")
                ledger.refuse(item, "", refusal)
                self._claim(item, Identity(), ledger)
                continue
            hashes[item.name] = sha256
            if sha256 in seen:
                copies.append(item)
            elif (name := self._sample_id(sha256)) in ledger.rows and name not in outdated:
                ledger.ok += 1
            else:
                todo.append(item)
            seen.add(sha256)
        return todo, copies, hashes

    def _sample_id(self, sha256: str) -> str:
        return self.pseudonyms.name("image", sha256)

    def _claim(self, item: Input, identity: Identity, ledger: Ledger) -> None:
        reports = self.index.claimed(item.name, identity)
        ledger.claimed.update(report_id(self.pseudonyms, report) for report in reports)

    def _admit(self, converted: Converted, sha256: str, ledger: Ledger, journal: Journal) -> None:
        """Take in a new image, or record why not."""
        self._claim(converted.item, converted.identity, ledger)
        try:
            self._commit(converted, sha256, ledger, journal)
        except Unreadable as refusal:
            ledger.refuse(converted.item, sha256, refusal)

    def _update(
        self,
        converted: Converted,
        kept: dict[str, Any],
        ledger: Ledger,
        journal: Journal,
        progress: Progress,
    ) -> None:
        """Rebuild the row of an image whose report changed; the image, its ids and split stay."""
        ledger.ok += 1
        self._claim(converted.item, converted.identity, ledger)
        name = str(kept["sample_id"])
        try:
            if converted.refusal is not None:
                raise converted.refusal
            report = self.index.find(converted.item.name, converted.identity)
            if report is None or report_id(self.pseudonyms, report) == kept["report_id"]:
                return  # taken away, not edited: what was prepared from it stays
            row = self._row(converted, report, name)
        except Unreadable as refusal:
            progress.note(f"changed report not used, earlier text kept: {name} ({refusal.code})")
            return
        same = ("patient_id", "study_id", "sha256", "split")
        row |= {key: kept[key] for key in same}
        journal.add(row, (self.out / row["file_name"]).read_bytes())
        ledger.rows[name] = row
        ledger.updated += 1

    def _commit(self, converted: Converted, sha256: str, ledger: Ledger, journal: Journal) -> None:
        if converted.refusal is not None:
            raise converted.refusal
        report = self._report(converted)
        sample_id = self._sample_id(sha256)
        twin = ledger.by_content.get(converted.sha256)
        if twin is not None:
            ledger.duplicate(converted.item, sha256, twin)
            return
        row = self._row(converted, report, sample_id)
        journal.add(row, converted.png)
        ledger.rows[sample_id] = {**row, "split": None}
        ledger.by_content[converted.sha256] = sample_id
        ledger.ok += 1
        ledger.new += 1

    def _row(self, converted: Converted, report: Report, sample_id: str) -> dict[str, Any]:
        return make_row(
            converted,
            report,
            sample_id=sample_id,
            pseudonyms=self.pseudonyms,
            options=self.text,
            size=self.pixels.size,
            allow_empty=not self.require_report,
        )

    def _report(self, converted: Converted) -> Report:
        report = self.index.find(converted.item.name, converted.identity)
        if report is not None:
            return report
        if self.require_report:
            raise Unreadable(
                "no_report",
                "no report has its accession number, study UID, path or name",
                "Add the report, or prepare without requiring one",
            )
        return Report("", "")

    def unclaimed(self, ledger: Ledger) -> list[QuarantineRow]:
        """Reports that belong to no image of the dataset or the quarantine.

        A second copy of a report, with the same text and a key in common, counts with the first.
        """
        used = {row["report_id"] for row in ledger.rows.values()} | ledger.claimed
        taken = {
            (key, report.text)
            for report in self.index.all
            if report_id(self.pseudonyms, report) in used
            for key in report.keys
        }
        return [
            QuarantineRow.unclaimed(report.where)
            for report in self.index.all
            if taken.isdisjoint((key, report.text) for key in report.keys)
        ]
