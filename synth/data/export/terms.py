"""The terms of use of an export: carried from every source, refused where they cannot all be kept.

Rules:
    Every condition of every source binds the export; it may be passed on, or used commercially,
    only if every source allows it.
    Where a source forbids passing its data on, an export needs a statement that it stays with
    whoever accepted the terms (``local_use``). What is made of a model trained on the data counts
    as the data: most agreements say so.
    A share-alike licence asks for the whole to be under itself. Together with a source that adds
    restrictions, or with another share-alike licence, no terms satisfy both: the two may not be
    passed on together, only used locally.
    Two records of one source that contradict each other are refused always.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from synth.errors import UsageError
from synth.manifest import DatasetInfo, SourceTerms

_SHARE_ALIKE = re.compile(r"\bSA\b|share-?alike|\bA?GPL\b|\bODbL\b", re.IGNORECASE)
_STATEMENT = "Add --local-use if the export stays with you and others bound by the same agreements."


@dataclass(frozen=True)
class Terms:
    """What binds an export.

    Attributes:
        lines: all conditions.
        sources: by name.
        redistribution: whether it may be passed on.
        commercial: whether it may be used commercially.
        local_use: it was made under the statement that it stays where it is.
        recorded: whether any terms were found at all.
    """

    lines: tuple[str, ...]
    sources: tuple[SourceTerms, ...]
    redistribution: bool
    commercial: bool
    local_use: bool
    recorded: bool

    @property
    def licence(self) -> str:
        """Licences of all sources, or ``see terms``."""
        names = dict.fromkeys(source.licence for source in self.sources if source.licence)
        return "; ".join(names) or "see terms"


def agree(infos: Sequence[DatasetInfo], *, local_use: bool) -> Terms:
    """The terms of several datasets together.

    Args:
        infos: of the datasets.
        local_use: stated by the user.

    Raises:
        UsageError: they contradict each other, or forbid what the export is for; names the term.
    """
    sources = _merge(infos)
    forbidding = [source for source in sources if not source.redistribution]
    excluding = _excluding(sources)
    if not local_use:
        _refuse(forbidding, excluding)
    lines = dict.fromkeys(line for info in infos for line in info.terms)
    stated = dict.fromkeys(f"{one.title}: {term}" for one in sources for term in one.terms)
    return Terms(
        lines=tuple(lines | stated),
        sources=tuple(sources),
        redistribution=not (forbidding or excluding or local_use),
        commercial=all(source.commercial for source in sources),
        local_use=local_use,
        recorded=all(info.terms or info.sources for info in infos),
    )


def _merge(infos: Sequence[DatasetInfo]) -> list[SourceTerms]:
    known: dict[str, SourceTerms] = {}
    for info in infos:
        for source in info.sources:
            other = known.setdefault(source.name, source)
            for field in ("licence", "redistribution", "commercial"):
                mine, theirs = getattr(other, field), getattr(source, field)
                if mine != theirs:
                    raise UsageError(
                        f"two datasets record different terms of {source.title}: `{field}`",
                        where=info.name,
                        got=f"{theirs!r} and {mine!r}",
                        fix="Prepare them with the same version of this tool.",
                    )
    return [known[name] for name in sorted(known)]


def _excluding(sources: Sequence[SourceTerms]) -> list[tuple[SourceTerms, SourceTerms]]:
    """Pairs of a share-alike source and one whose terms it does not admit."""
    return [
        (alike, other)
        for alike in sources
        if _SHARE_ALIKE.search(alike.licence)
        for other in sources
        if other.name != alike.name
        and (
            not other.redistribution
            or (alike.commercial and not other.commercial)
            or (_SHARE_ALIKE.search(other.licence) and other.licence != alike.licence)
        )
    ]


def _refuse(
    forbidding: Sequence[SourceTerms], excluding: Sequence[tuple[SourceTerms, SourceTerms]]
) -> None:
    if excluding:
        alike, other = excluding[0]
        raise UsageError(
            "the terms of two sources exclude each other, so both may not be passed on together",
            where=f"{alike.title} + {other.title}",
            got=f"{alike.licence} (share alike) and {other.licence or 'stricter terms'}",
            fix=_STATEMENT,
        )
    if forbidding:
        source = forbidding[0]
        words = [term for term in source.terms if re.search(r"pass|distribut|shar", term)]
        raise UsageError(
            "the terms forbid passing these data on",
            where=", ".join(one.title for one in forbidding),
            got=" ".join(words or source.terms) or source.licence,
            fix=_STATEMENT,
        )
