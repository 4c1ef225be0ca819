"""DICOM, PNG and JPEG with their reports -> a prepared, de-identified, labelled dataset.

Every image under the source comes out exactly once, as ok, quarantined or duplicate; everything
else is counted as skipped. Nothing is written inside the source, nothing in the dataset is deleted.
The same command again does only what is new; a killed run is continued by it, to the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from synth.data.convert import ConvertOptions
from synth.data.finish import finish
from synth.data.inputs import Input, Inputs, scan
from synth.data.intake import Intake, Ledger
from synth.data.options import PrepareOptions, claim_folder
from synth.data.pseudonyms import Pseudonyms
from synth.data.reports import index_reports
from synth.data.rows import TextOptions
from synth.data.splits import Fractions
from synth.dicom import DecodeLimits, Voi
from synth.errors import OK, QUARANTINED, SynthError
from synth.manifest import DatasetInfo
from synth.progress import Progress, Silent
from synth.text import Labeler, RuleLabeler
from synth.text.prompts import DEFAULT_POLICY, Source


@dataclass(frozen=True)
class PrepareSummary:
    """What became of the inputs: ``inputs == ok + quarantined + duplicates``.

    Attributes:
        folder: the dataset.
        inputs: images under the source.
        ok: of them, in the dataset.
        quarantined: of them, refused.
        duplicates: of them, with the content of another one.
        skipped: files that are not images, reports or tables.
        new: images added by this run.
        updated: images of an earlier run whose report or labels had changed.
        reports_without_image: reports that no image claimed.
        codes: refusal code -> images.
        splits: split -> images of the dataset.
        findings: finding -> images that have it.
        skipped_suffixes: suffix, or ``no suffix`` -> skipped files, the commonest first.
        phantom: whether the terms of use say that the images are phantoms.
    """

    folder: Path
    inputs: int
    ok: int
    quarantined: int
    duplicates: int
    skipped: int
    new: int
    reports_without_image: int
    codes: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)
    findings: dict[str, int] = field(default_factory=dict)
    updated: int = 0
    skipped_suffixes: dict[str, int] = field(default_factory=dict)
    phantom: bool = False

    @property
    def exit_code(self) -> int:
        """3 if something was quarantined, else 0."""
        return QUARANTINED if self.quarantined else OK


def prepare(
    source: Path,
    out: Path,
    *,
    size: int = 128,
    seed: int = 0,
    splits: Fractions = (0.7, 0.1, 0.2),
    stratify: bool = True,
    voi: Voi = "auto",
    policy: tuple[Source, ...] = DEFAULT_POLICY,
    drop_comparisons: bool = True,
    require_report: bool = True,
    terms: Path | None = None,
    secret: str = "",
    labeler: Labeler | None = None,
    limits: DecodeLimits | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> PrepareSummary:
    """Prepare a dataset.

    Args:
        source: folder with images and reports; read only.
        out: the dataset; new, empty, or one that the same options began.
        size: side of the square images in pixels.
        seed: decides pseudonyms and splits.
        splits: fractions of train, val and test.
        stratify: deal patients out so that rare findings reach every split; otherwise a patient's
            split depends on nothing but the pseudonym and the seed.
        voi: see :func:`synth.dicom.read_grey`.
        policy: which report section becomes the prompt.
        drop_comparisons: take comparisons with earlier images out of prompts.
        require_report: quarantine images without report or labels; otherwise their text is empty.
        terms: file with the terms of use; ``SOURCE/terms.txt`` by default.
        secret: makes pseudonyms impossible to recompute from the seed alone.
        labeler: another labeller than the built-in rules.
        limits: decode budgets.
        workers: processes that decode; 1 decodes in this one.
        progress: where to report.

    Returns:
        The account of all inputs.

    Raises:
        SynthError: nothing usable, or ``out`` belongs to something else; nothing was changed.
        UsageError: options that make no sense, or differ from those the dataset was begun with.
    """
    progress = progress or Silent()
    chosen: Labeler = labeler or RuleLabeler()
    options = PrepareOptions(
        size=size,
        seed=seed,
        splits=splits,
        stratify=stratify,
        voi=voi,
        policy=policy,
        drop_comparisons=drop_comparisons,
        require_report=require_report,
        labeler=chosen.name,
        pseudonyms=Pseudonyms(seed, secret).name("check", "key"),
    )
    text_options = TextOptions(policy, drop_comparisons, chosen)
    convert_options = ConvertOptions(size, voi, limits or DecodeLimits())
    progress.stage("reading the source folder")
    inputs = scan(source)
    if not inputs.images:
        raise SynthError(
            "no images found",
            where=source,
            got=", ".join(f"{count} {kind}" for kind, count in inputs.counts.items()),
            expected="DICOM, PNG or JPEG files",
        )
    index, unknown = index_reports(inputs)
    for item in unknown:
        progress.note(f"table not understood, skipped: {item.name}")
    claim_folder(source, out, options)
    with _locked(out):
        intake = Intake(
            inputs,
            index,
            out,
            Pseudonyms(seed, secret),
            text_options,
            convert_options,
            require_report,
        )
        ledger = intake.convert_new(workers, progress)
        lost = intake.unclaimed(ledger)
        skipped = [*inputs.of("hidden", "other"), *unknown]
        progress.stage("writing the tables")
        rows = finish(out, source, ledger.rows, ledger.quarantine + lost, options, terms=terms)
        return _summary(out, inputs, ledger, rows, skipped=skipped, lost=len(lost))


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    try:
        with FileLock(out / ".lock", timeout=0):
            yield
    except Timeout:
        raise SynthError("another preparation is writing this dataset", where=out) from None


def _summary(
    out: Path,
    inputs: Inputs,
    ledger: Ledger,
    rows: list[dict[str, Any]],
    *,
    skipped: Sequence[Input],
    lost: int,
) -> PrepareSummary:
    refused = [row for row in ledger.quarantine if row.kind == "image"]
    summary = PrepareSummary(
        folder=out,
        inputs=len(inputs.images),
        ok=ledger.ok,
        quarantined=len(refused),
        duplicates=ledger.duplicates,
        skipped=len(skipped),
        new=ledger.new,
        updated=ledger.updated,
        reports_without_image=lost,
        skipped_suffixes=dict(
            Counter(item.path.suffix.lower() or "no suffix" for item in skipped).most_common()
        ),
        phantom=DatasetInfo.model_validate_json((out / "dataset.json").read_bytes()).phantom,
        codes=dict(sorted(Counter(row.code for row in refused).items())),
        splits=dict(Counter(str(row["split"]) for row in rows)),
        findings=dict(
            sorted(
                Counter(
                    name for row in rows for name, value in row["labels"].items() if value == 1
                ).items()
            )
        ),
    )
    # An invariant of this code, not a user's error: no input may be lost or counted twice.
    assert summary.inputs == summary.ok + summary.quarantined + summary.duplicates, summary
    return summary
