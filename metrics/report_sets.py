"""The sets that the page shows: opened where the scores say they lie, or a reason why not.

No image is decoded before it is shown, so that a page of a large folder takes seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from metrics.ingest import is_dataset
from metrics.report_values import Scores, finite, part
from metrics.whereabouts import found_path, has_changed, is_statistics
from synth.data.images_in import DECLARED_BY_FILES, Picture, Reading, find_pictures
from synth.dicom import PRESETS
from synth.errors import SynthError
from synth.manifest import Dataset, DatasetInfo, Row, open_dataset, read_info

_ROLES = {"real": "Real", "synthetic": "Synthetic", "train": "Training"}


@dataclass(frozen=True)
class ShownSet:
    """One set of the page.

    Attributes:
        dataset: its facts and rows; a row a file where there is no table, none without images.
        pictures: by file name; None for a dataset, whose rows name the files of its folder.
        splits: whether the rows' splits are the set's own.
        reading: how files become grey levels.
        scored: images that were scored, None where the scores do not say.
        why: a sentence on why no image is shown, empty where they are.
        note: a sentence to read beside the images, empty where there is nothing to say.
    """

    dataset: Dataset
    pictures: Mapping[str, Picture] | None = None
    splits: bool = True
    reading: Reading = DECLARED_BY_FILES
    scored: int | None = None
    why: str = ""
    note: str = ""

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of ``dataset``."""
        return self.dataset.rows

    @property
    def images(self) -> int | None:
        """How many images there are: of a dataset its rows, else those that could be scored."""
        if self.splits or self.scored is None:
            return len(self.rows) or None
        return self.scored

    def picture(self, name: object) -> Picture | None:
        """The image of that file name; None where the set does not have it."""
        if not isinstance(name, str) or not name or self.why:
            return None
        if self.pictures is not None:
            return self.pictures.get(name)
        path = self.dataset.folder / name
        return Picture(name, path) if path.is_file() else None

    def of(self, row: Row) -> Picture:
        """The image of one of the rows; reading it may fail."""
        if self.pictures is not None:
            return self.pictures[row.file_name]
        return Picture(row.file_name, self.dataset.path(row))

    def text(self, name: object) -> str:
        """The text that belongs to a file name, empty where there is none."""
        return next((row.text_used for row in self.rows if row.file_name == name), "")

    def shows(self, row: Row) -> bool:
        """False for a file that an evaluation leaves out; those of a dataset must be readable."""
        if self.pictures is None:
            return True
        try:
            self.of(row).grey(self.reading)
        except SynthError:
            return False
        return True


@dataclass(frozen=True)
class ShownSets:
    """The sets of the page by role; ``before``, of the base model, is None where unknown."""

    real: ShownSet
    synthetic: ShownSet
    train: ShownSet
    before: ShownSet | None = None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader must know of the sets, each sentence once."""
        why = dict.fromkeys(side.why for side in self._sides if side.why)
        return (*why, *self.notes)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the images that are shown."""
        return tuple(dict.fromkeys(side.note for side in self._sides if side.note))

    @property
    def _sides(self) -> tuple[ShownSet, ...]:
        return self.real, self.synthetic, self.train


@dataclass(frozen=True)
class Named:
    """Paths that are told, and then go before those in the scores."""

    real: Path | None = None
    synthetic: Path | None = None
    train: Path | None = None
    before: Path | None = None


def names_sets(scores: Scores) -> bool:
    """Whether the scores say where their sets lie; older ones do not."""
    sets = part(scores, "provenance", "sets")
    return any(part(sets, role).get("path") for role in sets)


def open_shown(scores: Scores, *, beside: Path | None, named: Named) -> ShownSets:
    """Open what was scored.

    Args:
        scores: the content of ``scores.json``.
        beside: its folder, which the paths in it are relative to.
        named: sets that lie elsewhere now.

    Raises:
        SynthError: a set that is named is missing, malformed or without images. One that the
            scores name is a reason in its place.
    """
    sets = part(scores, "provenance", "sets")
    real = _open("real", named.real, scores, beside)
    train = part(sets, "train")
    if named.train is None and train.get("path") in (None, part(sets, "real").get("path")):
        trained = real  # a set's own training split; older scores do not tell
    else:
        trained = _open("train", named.train, scores, beside)
    return ShownSets(
        real=real,
        synthetic=_open("synthetic", named.synthetic, scores, beside),
        train=trained,
        before=_before(named.before or found_path(part(sets, "before"), beside)),
    )


def _before(path: Path | None) -> ShownSet | None:
    return ShownSet(open_dataset(path)) if path is not None and is_dataset(path) else None


def _open(role: str, told: Path | None, scores: Scores, beside: Path | None) -> ShownSet:
    facts = part(scores, "provenance", "sets", role)
    path = told or found_path(facts, beside)
    if path is None:
        why = "the scores, of an older version, do not say where they lie"
        return _nothing(role, facts, f"{why}; name them with --{role}")
    if is_statistics(path):
        return _nothing(role, facts, "saved statistics hold a mean and a covariance, no images")
    try:
        return _checked(role, path, facts, _reading(scores), told=told is not None)
    except (SynthError, OSError) as error:
        if told is not None:
            raise
        name = facts.get("folder") or path.name
        problem = error.problem if isinstance(error, SynthError) else error.strerror
        why = f"{name}, where they were scored: {problem}; name the set with --{role}"
        return _nothing(role, facts, why)


def _nothing(role: str, facts: Scores, why: str) -> ShownSet:
    """A set of which no image can be shown."""
    name = str(facts.get("folder") or role)
    dataset = Dataset(Path(name), DatasetInfo(name=name), ())
    return ShownSet(
        dataset,
        pictures={},
        splits=False,
        scored=_scored(facts),
        why=f"{_ROLES[role]} images are not shown: {why}.",
    )


def _scored(facts: Scores) -> int | None:
    known = finite(facts.get("images"))
    return None if known is None else int(known)


def _checked(role: str, path: Path, facts: Scores, reading: Reading, *, told: bool) -> ShownSet:
    """The set, if it is the one that was scored or was named all the same."""
    opened = replace(_opened(path), reading=reading)
    if not has_changed(path, facts):
        return replace(opened, scored=_scored(facts))
    if not told:
        why = "its files are not those that were scored"
        fix = f"name the set with --{role}, or score it again"
        return _nothing(role, facts, f"{facts.get('folder')} has changed, {why}; {fix}")
    note = (
        f"{_ROLES[role]} images are of {path.name}, whose files are not those that were scored: a "
        "picture may be another one than its number is about."
    )
    return replace(opened, note=note)


def _opened(path: Path) -> ShownSet:
    """A dataset, a folder or archives.

    Raises:
        SynthError: missing, malformed or without images.
    """
    if is_dataset(path):
        return ShownSet(open_dataset(path))
    found = find_pictures(path)
    tables = [picture.row for picture in found if picture.row is not None]
    whole = len(tables) == len(found)  # as an evaluation reads them: all rows or none
    rows = tables if whole else [_row(picture.name) for picture in found]
    times = Counter(row.file_name for row in rows)
    kept = [(row, one) for row, one in zip(rows, found, strict=True) if times[row.file_name] == 1]
    return ShownSet(
        Dataset(path, read_info(path.resolve()), tuple(row for row, _ in kept)),
        pictures={row.file_name: picture for row, picture in kept},  # a name twice tells nothing
        splits=whole,
    )


def _row(name: str) -> Row:
    """A file without a table; an evaluation takes all of them for the reference."""
    return Row(file_name=name, sample_id=name, split="test")


def _reading(scores: Scores) -> Reading:
    """How the files were read; as they declare themselves where the scores do not say."""
    held = part(scores, "provenance", "reading")
    white, preset = finite(held.get("white")), held.get("preset")
    known = Reading(white=white) if white is not None and white > 0 else DECLARED_BY_FILES
    return replace(known, preset=preset) if preset in PRESETS else known
