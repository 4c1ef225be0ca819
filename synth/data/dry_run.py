"""What a preparation would do, in seconds: headers and tables are read, nothing is written.

The account has the form of the real one. It cannot know what only the pixels tell: damage behind
the header, constant images, text seen in the image, colour that is more than grey, a decoder that
fails, files with other bytes but the same pixels, budgets of time and memory. So the real run may
quarantine more, and never less. Of an existing dataset nothing is read: ``new`` counts all images
that would be in it. Splits depend on the images that really get in and are not assigned.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from synth.data.contents import Content, vanished
from synth.data.convert import Converted, ConvertOptions, sniff
from synth.data.inputs import Input
from synth.data.intake import Intake, archive_refusal
from synth.data.ledger import Ledger
from synth.data.pool import run_pool
from synth.data.pseudonyms import KEY_BYTES, KEY_FILE_VARIABLE, load_key, user_key_file
from synth.data.quarantine import nothing_usable
from synth.data.raster import probe_raster
from synth.data.summary import PrepareSummary, of_files, of_refusals, of_rows
from synth.data.survey import Survey
from synth.dicom import Identity, Unreadable, identify, probe
from synth.manifest import sha256_file
from synth.progress import Progress

_END_BYTES = 8192  # enough for what tells two headers apart
_KEPT = ("sample_id", "labels", "source", "report_id")  # of a row: the account needs no more


def key_for_dry_run(
    secret: str, key_file: Path | None, progress: Progress, *, dataset: Path
) -> bytes:
    """The key that a real run would use, or one for once where that run would make it."""
    named = secret or key_file or os.environ.get(KEY_FILE_VARIABLE)
    if named or user_key_file().exists():
        return load_key(secret, key_file, progress, dataset=dataset)
    return secrets.token_bytes(KEY_BYTES)


def forecast(
    surveyed: Survey, intake: Intake, *, workers: int, progress: Progress
) -> PrepareSummary:
    """The account that a preparation would give, as far as headers and tables tell.

    Raises:
        SynthError: no image would get in.
    """
    ledger = Ledger({}, {})
    contents = _contents(surveyed.images, ledger)
    progress.stage("reading headers")
    items = [content.first for content in contents]
    outcomes = run_pool(partial(look, intake.pixels), items, workers=workers)
    with closing(outcomes):
        for content, outcome in zip(contents, outcomes, strict=True):
            seen = outcome.value or Converted(content.first)  # a header that ends its reader
            _enter(content, seen, ledger, intake)
            progress.update(len(ledger.quarantine) + ledger.ok, len(surveyed.images), str(ledger))
    if not ledger.ok:
        raise nothing_usable(surveyed.source, ledger.quarantine, fix="")
    lost = intake.unclaimed(ledger)
    refused = [*ledger.quarantine, *lost, *surveyed.rows]
    summary = PrepareSummary(
        folder=intake.out,
        dry_run=True,
        files=surveyed.files,
        inputs=len(surveyed.images),
        ok=ledger.ok,
        quarantined=ledger.quarantined,
        duplicates=ledger.duplicates,
        new=ledger.new,
        without_record=ledger.without_record,
        **of_rows(ledger.rows.values()),
        **of_files(surveyed.skipped, surveyed.used, surveyed.broken),
        **of_refusals(refused),
    )
    summary.check()
    return summary


def look(options: ConvertOptions, item: Input) -> Converted:
    """What a file's header says; never raises for a bad file."""
    try:
        sniff(item)
        if item.kind == "dicom":
            seen = probe(item.path, options.limits, preset=options.preset)
        else:
            seen = probe_raster(item.path, options.limits)
    except Unreadable as refusal:
        dicom = item.kind == "dicom"
        identity = identify(item.path, options.limits) if dicom else Identity()
        return Converted(item, refusal=refusal, identity=identity)
    return Converted(item, facts=seen.facts, identity=seen.identity, flags=seen.flags)


def _contents(images: Sequence[Input], ledger: Ledger) -> list[Content]:
    """Files by content; only those with the same size, beginning and end are read whole."""
    keys: dict[Input, Hashable] = dict.fromkeys(images, "")
    for finer in (_size, _ends, sha256_file):
        keys = _narrowed(keys, finer, ledger)
    firsts: dict[Hashable, Content] = {}
    for item, key in keys.items():
        known = firsts.get(key)
        if known is None:
            firsts[key] = Content(item, item.name, (0, 0))  # its name is as good as a hash here
        else:
            firsts[key] = replace(known, copies=(*known.copies, item))
    return list(firsts.values())


def _narrowed(
    keys: Mapping[Input, Hashable], finer: Callable[[Path], Hashable], ledger: Ledger
) -> dict[Input, Hashable]:
    """Keys that several files share are made finer; files that cannot be read drop out."""
    shared = Counter(keys.values())
    narrowed: dict[Input, Hashable] = {}
    for item, key in keys.items():
        try:
            narrowed[item] = (key, finer(item.path)) if shared[key] > 1 else key
        except OSError as error:
            ledger.refuse(item, "", vanished(error), Identity())
    return narrowed


def _size(path: Path) -> int:
    return path.stat().st_size


def _ends(path: Path) -> bytes:
    with path.open("rb") as file:
        first = file.read(_END_BYTES)
        file.seek(-min(_END_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
        return hashlib.sha256(first + file.read()).digest()


def _enter(content: Content, seen: Converted, ledger: Ledger, intake: Intake) -> None:
    """Count an image and its copies as the real run would."""
    items = (content.first, *content.copies)
    reader = intake.reader
    try:
        if content.first.kind == "archive":
            raise archive_refusal()
        row, record = intake.first_row(content, seen)
    except Unreadable as refusal:
        for item in items:
            ledger.refuse(item, "", refusal, seen.identity)
            ledger.claimed |= reader.ids_of(item, seen.identity)
        return
    ledger.admit({name: row[name] for name in _KEPT}, content.sha256)
    ledger.without_record += record is None
    ledger.repeat(content.copies, "", row["sample_id"], seen.identity)
