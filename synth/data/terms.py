"""The terms of use of a dataset: those of its named sources, and those that lie with the files.

They are facts about the data, so they go into ``dataset.json`` and from there into every output
made of it. What an earlier run recorded stays as long as its images do.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from synth.data.importers.base import Source
from synth.errors import SynthError
from synth.manifest import DatasetInfo, SourceTerms


def merge_sources(
    earlier: DatasetInfo, sources: Sequence[Source], used: Collection[str]
) -> list[SourceTerms]:
    """The sources whose images are in the dataset, by name; this run's facts beat earlier ones.

    Args:
        earlier: ``dataset.json`` as it stands.
        sources: recognised by this run.
        used: names under ``source`` in the rows.
    """
    known = {source.name: source for source in earlier.sources}
    known |= {source.name: SourceTerms.model_validate(asdict(source)) for source in sources}
    return [known[name] for name in sorted(known) if name in used]


def merge_terms(
    earlier: DatasetInfo, source: Path, terms: Path | None, sources: Sequence[SourceTerms]
) -> list[str]:
    """All terms as lines: those of the file first, then those of each named source.

    Args:
        earlier: ``dataset.json`` as it stands; its lines stay, unless ``terms`` replaces them.
        source: the folder where ``terms.txt`` may lie.
        terms: a file given instead.
        sources: of the dataset.

    Raises:
        SynthError: ``terms`` is missing.
    """
    lines = read_terms(terms or source / "terms.txt", required=terms is not None)
    if terms is None:
        lines += earlier.terms
    lines += [f"{one.title}: {term}" for one in sources for term in one.terms]
    return list(dict.fromkeys(lines))


def read_terms(path: Path, *, required: bool) -> list[str]:
    """The lines of a file with terms of use; none if it is not there.

    Raises:
        SynthError: it is not there and had to be.
    """
    if path.is_file():
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()]
    if required:
        raise SynthError("the file with the terms of use is missing", where=path)
    return []
