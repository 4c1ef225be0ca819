"""DICOM, PNG and JPEG with their reports -> a prepared, de-identified, labelled dataset.

Every path under the source comes out exactly once: an image as ok, quarantined or duplicate,
everything else as read or as skipped with a reason. Nothing is written inside the source, nothing
in the dataset is deleted. The same command again does only what is new, and tries refused files
once more; a killed run is continued by it, to the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from synth.data.convert import ConvertOptions
from synth.data.dry_run import forecast, key_for_dry_run
from synth.data.finish import finish
from synth.data.intake import Intake
from synth.data.journal import sweep
from synth.data.ledger import Ledger
from synth.data.options import PrepareOptions, check_folder, claim_folder
from synth.data.pseudonyms import Pseudonyms, load_key
from synth.data.quarantine import QuarantineRow
from synth.data.reading import Choice, Reader, check_choice
from synth.data.rows import TextOptions, report_id
from synth.data.splits import Fractions
from synth.data.summary import PrepareSummary, of_files, of_refusals, of_rows
from synth.data.survey import Survey, survey
from synth.data.terms import read_terms
from synth.data.writing import resumable
from synth.dicom import DecodeLimits, Preset, Voi
from synth.errors import SynthError
from synth.manifest import DatasetInfo
from synth.progress import Progress, Silent
from synth.text import Labeler, RuleLabeler
from synth.text.modes import Mode
from synth.text.prompts import DEFAULT_POLICY, Source

__all__ = ["PrepareSummary", "prepare"]


def prepare(
    source: Path,
    out: Path,
    *,
    size: int = 128,
    seed: int = 0,
    splits: Fractions = (0.7, 0.1, 0.2),
    stratify: bool = True,
    preset: Preset = "dicom-voi",
    voi: Voi = "auto",
    exclude: tuple[str, ...] = (),
    views: tuple[str, ...] = (),
    policy: tuple[Source, ...] = DEFAULT_POLICY,
    drop_comparisons: bool = True,
    keep_raw_text: bool = False,
    label_mode: Mode = "default",
    require_report: bool = True,
    near_duplicates: bool = True,
    terms: Path | None = None,
    secret: str = "",
    key_file: Path | None = None,
    labeler: Labeler | None = None,
    limits: DecodeLimits | None = None,
    workers: int = 1,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> PrepareSummary:
    """Prepare a dataset.

    Args:
        source: folder with images and reports; read only.
        out: the dataset; new, empty, or one that the same options began.
        size: side of the square images in pixels.
        seed: decides the splits.
        splits: fractions of train, val and test.
        stratify: deal patients out so that rare findings reach every split; otherwise a patient's
            split depends on nothing but the pseudonym and the seed.
        preset: the grey-scale recipe, see :mod:`synth.dicom.presets`.
        voi: the window of the preset ``dicom-voi``, see :func:`synth.dicom.read_grey`.
        exclude: flags (:data:`synth.dicom.FLAGS`) whose images are quarantined.
        views: ``PA``, ``AP``, ``LATERAL``: quarantine all others; empty keeps every view.
        policy: which report section becomes the prompt.
        drop_comparisons: take comparisons with earlier images out of prompts.
        keep_raw_text: keep the report as it was written, with whatever identifies people in it.
        label_mode: how several mentions of a finding become one label, see
            :mod:`synth.text.modes`.
        require_report: quarantine images without report or labels; otherwise their text is empty.
        near_duplicates: report images of different splits that look the same.
        terms: file with the terms of use; ``SOURCE/terms.txt`` by default.
        secret: words that make the key of the pseudonyms; see ``pseudonyms.load_key``.
        key_file: the key of the pseudonyms; by default ``SYNTH_KEY_FILE``, else the user's own.
        labeler: another labeller than the built-in rules.
        limits: decode budgets.
        workers: processes that decode.
        dry_run: read headers and tables alone, write nothing, and say what would happen; see
            :mod:`synth.data.dry_run` for what that cannot know.
        progress: where to report.

    Returns:
        The account of all inputs.

    Raises:
        SynthError: nothing usable, or ``out`` belongs to something else, and nothing was changed;
            or the disk is full, and the same command continues.
        UsageError: options that make no sense, or differ from those the dataset was begun with.
    """
    progress = progress or Silent()
    choice = Choice(require_report, tuple(sorted({*exclude})), tuple(sorted({*views})))
    check_choice(choice)
    chosen: Labeler = labeler or RuleLabeler(mode=label_mode)
    load = key_for_dry_run if dry_run else load_key
    pseudonyms = Pseudonyms(load(secret, key_file, progress, dataset=out))
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
        pseudonyms=pseudonyms.name("check", "key"),
        preset=preset,
        views=choice.views,
        exclude=choice.exclude,
        label_mode=label_mode,
        keep_raw_text=keep_raw_text,
        near_duplicates=near_duplicates,
    )
    check_folder(source, out, options)
    if terms is not None:
        read_terms(terms, required=True)  # hours before they are needed
    surveyed = survey(source, terms, progress)
    text = TextOptions(policy, drop_comparisons, chosen, keep_raw_text)
    reader = Reader(surveyed.imported, pseudonyms, text, choice, size)
    pixels = ConvertOptions(size, voi, limits or DecodeLimits(), preset)
    intake = Intake(surveyed.images, out, reader, pixels, _record_ids(surveyed, pseudonyms))
    if dry_run:
        return forecast(surveyed, intake, workers=workers, progress=progress)
    with resumable(out):
        claim_folder(source, out, options)
        with _locked(out):
            sweep(out)
            ledger = intake.run(workers, progress)
            lost = intake.unclaimed(ledger)
            refused = sorted([*ledger.quarantine, *lost, *surveyed.rows], key=_order)
            progress.stage("writing the tables")
            rows = finish(
                out,
                source,
                ledger.rows,
                refused,
                options,
                terms=terms,
                sources=surveyed.imported.sources,
                progress=progress,
            )
            return _summary(out, surveyed, ledger, refused, rows)


def _record_ids(surveyed: Survey, pseudonyms: Pseudonyms) -> tuple[str, ...]:
    return tuple(report_id(pseudonyms, record) for record in surveyed.imported.all)


def _order(row: QuarantineRow) -> tuple[str, str, str, str]:
    """The same whatever an earlier run did already; masked paths may be equal."""
    return row.path, row.sha256, row.kind, row.code


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    try:
        with FileLock(out / ".lock", timeout=0):
            yield
    except Timeout:
        raise SynthError("another preparation is writing this dataset", where=out) from None


def _summary(
    out: Path,
    surveyed: Survey,
    ledger: Ledger,
    refused: Sequence[QuarantineRow],
    rows: Sequence[dict[str, Any]],
) -> PrepareSummary:
    summary = PrepareSummary(
        folder=out,
        files=surveyed.files,
        inputs=len(surveyed.images),
        ok=ledger.ok,
        quarantined=ledger.quarantined,
        duplicates=ledger.duplicates,
        new=ledger.new,
        updated=ledger.updated,
        without_record=ledger.without_record,
        splits=dict(Counter(str(row["split"]) for row in rows)),
        phantom=DatasetInfo.model_validate_json((out / "dataset.json").read_bytes()).phantom,
        **of_rows(rows),
        **of_files(surveyed.skipped, surveyed.used, surveyed.broken),
        **of_refusals(refused),
    )
    summary.check()
    return summary
