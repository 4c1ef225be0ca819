"""ROCO v2 (Radiology Objects in COntext): 79,789 radiological figures with captions.

Population: figures of articles in the PubMed Central Open Access subset, worldwide; every modality
and body part, not chest radiographs alone. Filter by what the images are before training on them.

Labels: none. The caption is the text, in English, and findings are read from it by rule; captions
name what the article is about, so a finding that is not named is not stated.

Splits: train, valid and test, in every id and table name; ``valid`` is ``val``. Patients are not
known; figures of one article stay together only as far as the authors saw to it.

Licence: CC BY-NC 4.0 as mirrors state it; each figure keeps the licence of its article. Citation:
Rückert et al., Scientific Data 2024.

Quirks: ids have no suffix (``ROCOv2_2023_train_000001``) while files are ``.jpg`` or, in mirrors,
``.png``; ``train_images/train/`` or flat; captions of several lines; anybody's table could have the
header ``ID,Caption``, so the first id must be one of ROCO v2 or of ImageCLEFmedical Caption, which
is the same data. The concept tables (``ID,CUIs``) are recognised and not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from synth.data.importers.base import Key, Record, Source, make_keys
from synth.data.importers.streams import TableHead, stream
from synth.data.inputs import Inputs
from synth.dicom import Identity

_ID = re.compile(r"(?:ROCOv2|ImageCLEFmedical_Caption)_\d{4}_(train|valid|test)_\d+", re.IGNORECASE)
_SPLITS = {"train": "train", "valid": "val", "test": "test"}


class Roco:
    """See the module."""

    source = Source(
        name="roco-v2",
        title="ROCO v2 (Radiology Objects in COntext Version 2)",
        population="79,789 figures of open-access articles (PubMed Central), all modalities",
        licence="CC-BY-NC-4.0",
        terms=(
            "Cite Rückert et al. 2024.",
            "Not for commercial use: mirrors state CC BY-NC or CC BY-NC-SA.",
            "Every figure keeps the Creative Commons licence of its article.",
        ),
        citation="Rückert J. et al. ROCOv2: Radiology Objects in COntext Version 2, an Updated "
        "Multimodal Image Dataset. Sci Data 2024;11:688.",
        url="https://doi.org/10.1038/s41597-024-03496-6",
        redistribution=True,
        commercial=False,
    )

    def claim(self, heads: Sequence[TableHead], inputs: Inputs) -> tuple[TableHead, ...]:
        """Caption and concept tables whose ids are those of ROCO v2."""
        mine = [head for head in heads if len(head.columns) == 2 and _has_ids(head)]
        return tuple(mine) if any(head.has("Caption") for head in mine) else ()

    def records(self, own: Sequence[TableHead], inputs: Inputs) -> Iterator[Record]:
        """One record a caption."""
        for head in own:
            if not head.has("Caption"):
                continue
            id_column, caption = head.columns
            for line, row in stream(head.path):
                image = row[id_column].strip()
                yield Record(
                    where=f"{head.name}:{line}",
                    keys=frozenset(make_keys("roco", (_stem(image),))),
                    text=row[caption].strip(),
                    fields={"language": "en", **_split(image)},
                    label_source="rule",
                    image=image,
                )

    def keys(self, path: PurePosixPath, identity: Identity) -> Iterator[Key]:
        """By name without folder and suffix."""
        yield from make_keys("roco", (path.stem,))


def _has_ids(head: TableHead) -> bool:
    if not head.has("ID") or not (head.has("Caption") or head.has("CUIs")):
        return False
    first = next((row for _, row in stream(head.path)), {})
    return _ID.fullmatch(_stem(first.get(head.columns[0], "").strip())) is not None


def _stem(image: str) -> str:
    return re.sub(r"\.(jpe?g|png)$", "", image, flags=re.IGNORECASE)


def _split(image: str) -> dict[str, str]:
    match = _ID.fullmatch(_stem(image))
    return {"split": _SPLITS[match.group(1).lower()]} if match else {}


IMPORTER = Roco()
