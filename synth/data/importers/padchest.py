"""PadChest: 160,861 chest radiographs with Spanish reports and 194 kinds of labels.

Population: 67,625 patients of Hospital San Juan, Alicante, Spain, 2009 to 2017; frontal, lateral
and rib views; adults and children.

Labels: terms of a hierarchy, by physicians (39,053 images) or by a recurrent network trained on
them (121,808): ``label_source`` is ``physician`` or ``rnn``. The list is exhaustive: a finding that
is not named is 0, unless a term hints at it or the report says "unchanged", which leaves it open
(:mod:`~synth.data.importers.padchest_terms`). No finding is ever uncertain.

Text: the report, in Spanish, as published: lower-case, without accents, words cut to their stems.
It is passed on with ``language`` ``es``; the rules for English findings do not apply to it.

Splits: none; patients are told, so a split by patient is sound.

Licence: PadChest Dataset Research Use Agreement: research only, no passing on. Citation: Bustos et
al., Medical Image Analysis 2020.

Quirks: 36 columns, the first unnamed; label cells are Python lists with stray spaces and 3,041
empty strings; 103 cells hold ``nan``: their images come without labels; ``nan`` and ``None`` as
text in other cells; ids of 38 digits that must stay text; birth years as ``1930.0`` or empty, so
ages are differences of years; sex ``O``; projections ``PA, L, AP_horizontal, AP, COSTAL, EXCLUDE,
UNK``; 16-bit PNG in folders ``0`` to ``50`` and ``54``, or flat, some of them cut short.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from synth.data.importers.base import Key, Record, Source, make_keys
from synth.data.importers.padchest_terms import read_terms
from synth.data.importers.streams import TableHead, stream
from synth.data.inputs import Inputs
from synth.dicom import Identity

_SIGNATURE = ("ImageID", "ImageDir", "StudyID", "PatientID", "Projection", "MethodLabel", "Labels")
_LABELLERS = {"Physician": "physician", "RNN_model": "rnn"}


class PadChest:
    """See the module."""

    source = Source(
        name="padchest",
        title="PadChest",
        population="67,625 patients of Hospital San Juan (Alicante, Spain), 2009-2017",
        licence="PadChest Dataset Research Use Agreement (BIMCV)",
        terms=(
            "For research only, after accepting the agreement of BIMCV; sale is prohibited.",
            "Do not distribute, publish or reproduce any part of the data without permission.",
            "Cite Bustos et al. 2020.",
        ),
        citation="Bustos A., Pertusa A., Salinas J. M., de la Iglesia-Vayá M. PadChest: A large "
        "chest x-ray image dataset with multi-label annotated reports. Med Image Anal "
        "2020;66:101797.",
        url="https://bimcv.cipf.es/bimcv-projects/padchest/",
        redistribution=False,
        commercial=False,
    )

    def claim(self, heads: Sequence[TableHead], inputs: Inputs) -> tuple[TableHead, ...]:
        """The one table."""
        return tuple(head for head in heads if head.has(*_SIGNATURE))

    def records(self, own: Sequence[TableHead], inputs: Inputs) -> Iterator[Record]:
        """One record a row."""
        for head in own:
            for line, row in stream(head.path):
                image = _cell(row, "ImageID")
                folder = _cell(row, "ImageDir")
                yield Record(
                    where=f"{head.name}:{line}",
                    keys=frozenset(make_keys("padchest", (PurePosixPath(image).stem,))),
                    text=_cell(row, "Report"),
                    fields=_fields(row),
                    labels=_labels(row["Labels"]),
                    label_source=_LABELLERS.get(_cell(row, "MethodLabel"), "table"),
                    image=f"{folder}/{image}" if folder else image,
                )

    def keys(self, path: PurePosixPath, identity: Identity) -> Iterator[Key]:
        """By name without folder and suffix."""
        yield from make_keys("padchest", (path.stem,))


def _cell(row: Mapping[str, str], column: str) -> str:
    """A cell without the words that stand for nothing."""
    value = row.get(column, "").strip()
    return "" if value in ("nan", "None") else value


def _fields(row: Mapping[str, str]) -> dict[str, str]:
    fields = {
        "patient": _cell(row, "PatientID"),
        "study": _cell(row, "StudyID"),
        "view": _cell(row, "Projection"),
        "sex": _cell(row, "PatientSex_DICOM"),
        "age": _age(_cell(row, "PatientBirth"), _cell(row, "StudyDate_DICOM")),
        "language": "es" if _cell(row, "Report") else "",
    }
    return {name: value for name, value in fields.items() if value}


def _age(birth: str, study: str) -> str:
    """Years between ``1930.0`` and ``20140915``; nothing if either is not a year."""
    year = birth.partition(".")[0]
    if not year.isdecimal() or not study[:4].isdecimal():
        return ""
    return str(max(0, int(study[:4]) - int(year)))


def _labels(cell: str) -> dict[str, str]:
    """A list as Python writes it -> labels; nothing from a cell that is no list."""
    try:
        terms = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    return read_terms(map(str, terms)) if isinstance(terms, list) else {}


IMPORTER = PadChest()
