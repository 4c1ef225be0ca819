"""``alignment`` of ``scores.json``: texts of both sets read by one extractor, and what follows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metrics.alignment import image_text_alignment
from metrics.arrays import Floats, picked
from metrics.distances import ExtractorFacts, Features
from metrics.ingest import ImageSet
from metrics.leaning import Judged, judged
from metrics.negation import negation
from metrics.pairs import Pairs, pairs
from metrics.records import Record
from metrics.sets import Sets, Work
from synth.errors import SynthError
from synth.extractors.text_side import Joint, TextSide
from synth.text.negation import denying, stating

WHAT = "alignment"
NEEDED = "give --extractor hf:FOLDER of a CLIP or SigLIP, or open_clip:NAME"
_LEAST = 2  # images with a text, below which there are no pairs


@dataclass(frozen=True)
class _Read:
    """The images of a set that have a text, and the texts' features.

    Attributes:
        rows: of the set.
        words: their texts.
        features: float [len(rows), D].
        truncated: how many texts were longer than the model reads.
        without: images of the set that have no text.
    """

    rows: NDArray[np.intp]
    words: tuple[str, ...]
    features: NDArray[np.floating]
    truncated: int
    without: int

    def facts(self) -> dict[str, Any]:
        """For the section; the hash says whether two sets have the same texts in the same order."""
        return {
            "pairs": len(self.words),
            "different": len(set(self.words)),
            "without_text": self.without,
            "truncated": self.truncated,
            "sha256": hashlib.sha256(json.dumps(self.words).encode()).hexdigest(),
        }


def alignment_section(
    sets: Sets, real: Features, synthetic: Features, both: Joint, facts: ExtractorFacts, work: Work
) -> dict[str, Any] | None:
    """Cosine, retrieval, matching and negation pairs; what is missing is noted.

    Args:
        sets: of the evaluation; texts are ``text_used`` of the rows, a synthetic image's prompt.
        real: image features of the reference, by ``both``.
        synthetic: those of the synthetic set.
        both: the extractor with its text side.
        facts: of the extractor.
        work: told of the stage and of what is missing.

    Returns:
        The structure that ``metrics.records`` documents; None where nothing could be measured.
    """
    work.progress.stage("image-text alignment")
    made = _read(sets.synthetic, both.texts)
    if made is None:
        work.skip(WHAT, "fewer than two synthetic images have a text: rows need `text_used`")
    held = _read(sets.real, both.texts)
    records: dict[str, Record] = {}
    if made is not None:
        if held is None:
            work.skip(f"{WHAT} of real pairs", "fewer than two real images have a text")
        records = _of_pairs(sets, made, held, real, synthetic, work)
    negated = _negation(sets, real, synthetic, both.texts, work)
    if not records and negated is None:
        return None
    words = f"{facts.preprocessing}; texts by {both.texts.id}, at most {both.texts.limit} tokens"
    facts = replace(facts, preprocessing=words)
    cut = {
        "truncated": made.truncated if made else 0,
        "real_truncated": held.truncated if held else 0,
    }
    return {
        **{name: _json(_counted(one, cut, both.texts), facts) for name, one in records.items()},
        "negation": negated and _negation_json(negated, facts),
        "texts": {
            "id": both.texts.id,
            "limit": both.texts.limit,
            "synthetic": made and made.facts(),
            "real": held and held.facts(),
        },
    }


def texts_of(images: ImageSet) -> tuple[str, ...]:
    """What each image was made from, or reported as; empty where its row says nothing."""
    rows = [picture.row for picture in images.pictures] or [None] * len(images)
    return tuple("" if row is None else row.text_used.strip() for row in rows)


def _read(images: ImageSet, side: TextSide) -> _Read | None:
    texts = texts_of(images)
    rows = np.flatnonzero([bool(text) for text in texts])
    if len(rows) < _LEAST:
        return None
    words = tuple(texts[row] for row in rows)
    found = side(words)
    return _Read(rows, words, found.values.numpy(), sum(found.truncated), len(texts) - len(rows))


def _of_pairs(
    sets: Sets, made: _Read, held: _Read | None, real: Features, synthetic: Features, work: Work
) -> dict[str, Record]:
    findings = [name for name in sets.synthetic.findings if name in sets.real.findings]
    asked = sets.synthetic.columns(findings)[made.rows] if findings else None
    found = image_text_alignment(
        images=synthetic.values[made.rows],
        texts=made.features,
        words=made.words,
        labels=asked,
        groups=picked(synthetic.groups, made.rows),
        real=None if held is None else _real_pairs(sets, held, real, findings),
        seed=work.settings.seed,
    )
    for name, why in found.missing.items():
        work.skip(f"{WHAT}: {name}", why)
    return dict(found.records)


def _real_pairs(sets: Sets, held: _Read, real: Features, findings: Sequence[str]) -> Pairs:
    return pairs(
        images=real.values[held.rows],
        texts=held.features,
        words=held.words,
        labels=sets.real.columns(findings)[held.rows] if findings else None,
        groups=picked(real.groups, held.rows),
        side="real",
    )


def _negation(
    sets: Sets, real: Features, synthetic: Features, side: TextSide, work: Work
) -> Mapping[str, Any] | None:
    """Negation pairs of every finding with labels; they need no text of an image."""
    findings = sets.synthetic.findings
    if not findings:
        work.skip(f"{WHAT}: negation", "no labels of the synthetic images")
        return None
    sentences = [*map(stating, findings), *map(denying, findings)]
    read = side(sentences)
    rows = read.values.numpy()

    def against(features: Features, labels: Floats, name: str) -> Judged:
        return judged(
            images=features.values,
            stating=rows[: len(findings)],
            denying=rows[len(findings) :],
            labels=labels,
            groups=features.groups,
            side=name,
        )

    try:
        found = negation(
            synthetic=against(synthetic, sets.synthetic.columns(findings), "synthetic"),
            real=against(real, sets.real.columns(findings), "real"),
            findings=findings,
            resamples=work.settings.bootstrap,
            seed=work.settings.seed,
        )
    except SynthError as error:
        work.skip(f"{WHAT}: negation", str(error))
        return None
    if found.withheld:
        listed = "; ".join(f"{name} ({why})" for name, why in found.withheld.items())
        work.skip(f"{WHAT}: negation", f"too few patients: {listed}")
    cut = {"truncated": sum(read.truncated)}
    return {"macro": found.macro, "findings": found.findings, **cut}


def _negation_json(found: Mapping[str, Any], facts: ExtractorFacts) -> dict[str, Any]:
    table = {
        name: {
            key: _json(value, facts) if isinstance(value, Record) else value
            for key, value in row.items()
        }
        for name, row in found["findings"].items()
    }
    return {**found, "macro": _json(found["macro"], facts), "findings": table}


def _counted(record: Record, cut: Mapping[str, int], side: TextSide) -> Record:
    """With the number of texts of which the end was not read, and a note where there are any."""
    note = record.note
    if any(cut.values()):
        said = (
            f"{cut['truncated']} synthetic and {cut['real_truncated']} real texts are longer than "
            f"{side.limit} tokens: their ends were not read"
        )
        note = "; ".join(filter(None, (note, said)))
    return replace(record, note=note, details={**record.details, **cut})


def _json(record: Record, facts: ExtractorFacts) -> dict[str, Any]:
    return replace(
        record,
        extractor=facts.id,
        extractor_sha256=facts.sha256,
        preprocessing=facts.preprocessing,
        versions={},
    ).to_json()
