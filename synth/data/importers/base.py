"""What an importer is: it recognises a source by its tables and turns their rows into records.

An importer never opens an image. It says which tables are its own, joins them (split, labels,
metadata, reports) into one :class:`Record` an image or study, and says by which keys an image file
finds its record. Decoding, de-identification, labelling and accounting are the same for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Protocol, runtime_checkable

from synth.data.importers.streams import TableHead
from synth.data.inputs import Inputs
from synth.dicom import Identity

Key = tuple[str, str]  # namespace (accession, study, file, …) and normalised value


def make_keys(space: str, values: Iterable[str]) -> Iterator[Key]:
    """Keys of one namespace, spelled alike for tables and paths; empty values give none."""
    for value in values:
        normal = value.strip().replace("\\", "/").removeprefix("./").lower()
        if normal and normal != ".":
            yield space, normal


@dataclass(frozen=True, slots=True)
class Record:
    """What the tables and texts of a source say about one image or study.

    Attributes:
        where: file and line, for messages.
        keys: what it can be found by.
        text: the report; empty for a row that only has labels.
        fields: as the table has them; known names are ``patient, study, view, sex, age, split``
            (an official split: ``train``, ``val`` or ``test``), ``language`` (ISO 639-1) and
            ``name`` (the patient's, only to remove it from the report).
        labels: finding name -> cell, values as written (see ``rows.parse_label``).
        label_source: who labelled: ``rule``, ``physician``, ``rnn``, ``reader``, …
        image: the file that a table row promises, as written; empty where none is promised.
        source: name of the source; filled in by the index.
    """

    where: str
    keys: frozenset[Key] = frozenset()
    text: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    label_source: str = "table"
    image: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A table, text or row that cannot be used; the run goes on without it.

    Attributes:
        where: file, with the line where there is one.
        code: ``table_unreadable``, ``text_unreadable`` or ``xml_refused``.
        detail: what is wrong; never quotes a cell.
        remedy: what to do.
    """

    where: str
    code: str
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Source:
    """A named source and its terms; they travel with the data into every later output.

    Attributes:
        name: stable lower-case name: ``nih-chestxray14``.
        title: as people write it.
        population: one sentence: who, where, when, how many.
        licence: SPDX id or the name of the agreement.
        terms: the conditions that bind whoever uses the data or what is made of them.
        citation: one line.
        url: where it is published.
        redistribution: whether images or text, or samples of a model trained on them, may be
            passed on under the terms.
        commercial: whether commercial use is allowed.
    """

    name: str
    title: str
    population: str
    licence: str
    terms: tuple[str, ...]
    citation: str
    url: str
    redistribution: bool
    commercial: bool


class Importer(Protocol):
    """One source. Stateless: everything is derived from the inputs."""

    @property
    def source(self) -> Source:
        """Name, licence and terms."""
        ...

    def claim(self, heads: Sequence[TableHead], inputs: Inputs) -> tuple[TableHead, ...]:
        """The tables that are this source's own, by header signature; empty if it is not here.

        File names may differ from the published ones, and tables may be gzipped; a signature must
        be specific enough that no other source or hospital table matches it by chance.

        Files that are not tables but belong to the source (report texts, XML, lists of file names)
        are claimed too, as heads without columns: nothing else then takes them for reports.
        """
        ...

    def records(self, own: Sequence[TableHead], inputs: Inputs) -> Iterator[Record | Problem]:
        """All records of the source, streamed; a problem in place of one that cannot be read.

        Raises:
            SynthError: a table is not readable, with file and line.
        """
        ...

    def keys(self, path: PurePosixPath, identity: Identity) -> Iterator[Key]:
        """The keys of an image file, the most specific first: whichever record has one is its."""
        ...


@runtime_checkable
class SaysWhatIsMissing(Protocol):
    """An importer that knows which of its tables should be there."""

    def missing(self, own: Sequence[TableHead]) -> tuple[str, ...]:
        """What is not there, as words for a message: ``metadata table``."""
        ...
