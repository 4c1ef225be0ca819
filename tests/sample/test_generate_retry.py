"""Images that show nothing are made again inside the loop, or reported; never silently written."""

import pytest
import torch

from sample.generate import Asked, BatchMaker, PromptEncoder
from sample.retry import Retry, attempt_seed
from sample.run import generate_dataset
from synth.config.schema import SampleSection
from synth.errors import SynthError
from synth.images import load_grey
from synth.manifest import open_dataset

GOOD = {"finite": True, "not_constant": True, "not_duplicate": True}


def with_sample(config, **values):
    return config.model_copy(update={"sample": config.sample.model_copy(update=values)})


class Notes:
    def __init__(self):
        self.notes = []

    def stage(self, text):
        pass

    def note(self, text):
        self.notes.append(text)

    def update(self, done, total, text=""):
        pass


@pytest.fixture
def bad_once(family, monkeypatch):
    """Break given places of the first batch alone, as an unlucky seed would."""

    def install(change):
        decode, calls = family.decode_latents, []

        def broken(latents):
            pixels = decode(latents).clone()
            if not calls:
                change(pixels)
            calls.append(len(pixels))
            return pixels

        monkeypatch.setattr(family, "decode_latents", broken)
        return calls

    return install


def black(pixels):
    pixels[2] = -1.0


def not_finite(pixels):
    pixels[2, 0, 3, 3] = float("nan")


def repeated(pixels):
    pixels[2] = pixels[1]


@pytest.mark.parametrize("change", [black, not_finite, repeated])
def test_a_bad_image_is_made_again_with_the_next_seed(config, family, bad_once, tmp_path, change):
    whole = generate_dataset(with_sample(config, out=tmp_path / "whole"), family=family).out
    calls = bad_once(change)
    progress = Notes()
    summary = generate_dataset(with_sample(config, count=22), progress, family=family)
    assert (summary.made, summary.flagged, summary.retried) == (22, 0, 1)
    assert any("1 images failed" in note and "another seed" in note for note in progress.notes)
    assert calls == [8, 8, 8, 8]  # three batches and one retry, all of one shape
    planned, rows = open_dataset(whole).rows, open_dataset(summary.out).rows
    assert all(row.filters == GOOD for row in rows)
    assert [row.attempt for row in rows] == [0, 0, 1, *[0] * 19]
    assert rows[2].seed == attempt_seed(planned[2].seed, 1) != planned[2].seed
    assert rows[2].labels == planned[2].labels
    others = [place for place in range(22) if place != 2]
    assert [rows[i].sha256 for i in others] == [planned[i].sha256 for i in others]


def test_without_retries_it_is_reported(config, family, bad_once):
    bad_once(black)
    summary = generate_dataset(with_sample(config, retries=0), family=family)
    assert (summary.flagged, summary.retried) == (1, 0)
    row = open_dataset(summary.out).rows[2]
    assert (row.attempt, row.filters["not_constant"]) == (0, False)


def test_without_retries_nan_is_refused(config, family, bad_once):
    bad_once(not_finite)
    with pytest.raises(SynthError, match="not finite"):
        generate_dataset(with_sample(config, retries=0), family=family)


def test_a_model_that_fails_everywhere_is_not_tried_again(config, family, monkeypatch):
    monkeypatch.setattr(family, "decode_latents", torch.zeros_like)
    summary = generate_dataset(with_sample(config, count=8), family=family)
    assert (summary.flagged, family.passes) == (8, 4)  # 4 steps, once


def test_a_repetition_of_an_earlier_batch_is_met(config, family, monkeypatch):
    decode, first = family.decode_latents, []

    def broken(latents):
        pixels = decode(latents).clone()
        if len(first) == 1:
            pixels[5] = first[0]
        first.append(pixels[0].clone())
        return pixels

    monkeypatch.setattr(family, "decode_latents", broken)
    summary = generate_dataset(config, family=family)
    assert summary.retried == 1
    rows = open_dataset(summary.out).rows
    assert [row.sample_id for row in rows if row.attempt] == ["syn-000013"]
    assert len({row.pixel_sha256 for row in rows}) == 22


def test_a_retried_image_stays_through_a_resume(config, family, bad_once):
    bad_once(black)
    summary = generate_dataset(config, family=family)
    row = open_dataset(summary.out).rows[2]
    before = load_grey(summary.out / row.file_name)
    (summary.out / open_dataset(summary.out).rows[4].file_name).unlink()
    again = generate_dataset(config, family=family)
    assert (again.made, again.kept) == (1, 21)
    assert open_dataset(summary.out).rows[2] == row
    assert (load_grey(summary.out / row.file_name) == before).all()


def test_attempts_end(family):
    made = []

    def make(asked):
        made.append(asked[0].seed)
        return first

    settings = SampleSection(batch=3, steps=2)
    asked = [Asked("a", seed) for seed in range(3)]
    first = BatchMaker(family, settings)(asked)
    first.image_u8[0] = 7
    bad = type(first)(0, first.image_u8, first.finite, (0.0, *first.contrast[1:]))
    first = bad
    batch, tries = Retry(make, 4)(bad, asked, leave=set(), known=lambda _digest: False)
    assert made == [attempt_seed(0, attempt) for attempt in (1, 2, 3, 4)]
    assert tries == (0, 0, 0)
    assert batch is bad
    batch, tries = Retry(make, 4)(bad, asked, leave={0}, known=lambda _digest: False)
    assert len(made) == 4


def test_every_distinct_text_is_encoded_once_while_memory_allows(family, monkeypatch):
    encode = PromptEncoder(family)
    texts = [str(number) for number in range(2000)]
    encode(texts)
    encode(texts[::-1])
    assert family.encoded == texts
    monkeypatch.setattr("sample.generate.EMBEDDING_BYTES", 4 * 10)  # ten floats
    small = PromptEncoder(family)
    family.encoded.clear()
    for text in [*texts[:12], *texts[2:12], texts[0]]:
        small([text])
    assert family.encoded == [*texts[:12], texts[0]]
