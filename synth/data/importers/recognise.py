"""Which sources lie under a folder: each importer takes its own files, ``folder`` the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from synth.data.importers import (
    chexpert,
    chexpert_plus,
    mimic_cxr,
    nih,
    openi,
    padchest,
    roco,
    rsna,
    siim,
    vindr,
)
from synth.data.importers.base import Importer, Problem, SaysWhatIsMissing
from synth.data.importers.streams import TableHead, is_table, read_head
from synth.data.inputs import Inputs
from synth.errors import SynthError

# In this order each takes what is its own of what is left; the more specific signature comes first.
IMPORTERS: tuple[Importer, ...] = (
    mimic_cxr.IMPORTER,
    chexpert_plus.IMPORTER,
    chexpert.IMPORTER,
    nih.IMPORTER,
    padchest.IMPORTER,
    openi.IMPORTER,
    vindr.IMPORTER,
    rsna.IMPORTER,
    siim.IMPORTER,
    roco.IMPORTER,
)


@dataclass(frozen=True)
class Recognised:
    """A source that is there, and the files that are its own."""

    importer: Importer
    own: tuple[TableHead, ...]

    def sentence(self) -> str:
        """For the user: ``MIMIC-CXR: 3 tables, 7 txt files; metadata table missing``."""
        kinds = Counter(
            "table" if is_table(head.name) else f"{head.path.suffix.lstrip('.').lower()} file"
            for head in self.own
        )
        parts = [f"{count:,} {kind}{'s' * (count > 1)}" for kind, count in sorted(kinds.items())]
        parts.sort(key=lambda part: not part.endswith(("table", "tables")))
        found = f"{self.importer.source.title}: {', '.join(parts)}"
        lacking = (
            self.importer.missing(self.own) if isinstance(self.importer, SaysWhatIsMissing) else ()
        )
        return f"{found}; {', '.join(lacking)} missing" if lacking else found


@dataclass(frozen=True)
class Recognition:
    """The files of a folder that are not images, by what they are.

    Attributes:
        found: sources, in the importers' order.
        rest: tables of no named source.
        problems: tables whose header cannot be read.
    """

    found: tuple[Recognised, ...]
    rest: tuple[TableHead, ...]
    problems: tuple[Problem, ...]


def recognise(inputs: Inputs, importers: Sequence[Importer] = IMPORTERS) -> Recognition:
    """Let each importer take its own files; a file has one owner."""
    heads: list[TableHead] = []
    problems: list[Problem] = []
    for item in inputs.of("table"):
        try:
            heads.append(read_head(item.path, item.name))
        except SynthError as error:
            problems.append(unreadable(item.name, error))
    found: list[Recognised] = []
    taken: set[str] = set()
    for importer in importers:
        left = [head for head in heads if head.name not in taken]
        own = tuple(head for head in importer.claim(left, inputs) if head.name not in taken)
        if own:
            found.append(Recognised(importer, own))
            taken.update(head.name for head in own)
    rest = tuple(head for head in heads if head.name not in taken)
    return Recognition(tuple(found), rest, tuple(problems))


def unreadable(name: str, error: SynthError) -> Problem:
    """What to record about a table that breaks off; cells are not quoted."""
    line = error.where.rpartition(":")[2]
    where = f"{name}:{line}" if line.isdecimal() else name
    return Problem(where, "table_unreadable", error.problem, error.fix)
