import pytest
import torch

from sample.generate import generate_batches, generate_images
from synth.config.schema import SampleSection
from synth.errors import SynthError, UsageError

PROMPTS = ["a", "b", "a", "c", "b", "a", "d"]
SEEDS = list(range(7))


def settings(**values):
    return SampleSection.model_validate({"batch": 4, "steps": 3, "guidance": 2.0} | values)


def images(family, **values):
    parts = generate_images(family, PROMPTS, seeds=SEEDS, settings=settings(**values))
    return torch.cat(list(parts))


def test_batches_are_in_order_and_padding_is_dropped(family):
    parts = list(generate_images(family, PROMPTS, seeds=SEEDS, settings=settings()))
    assert [tuple(part.shape) for part in parts] == [(4, 1, 16, 16), (3, 1, 16, 16)]
    assert all(part.dtype == torch.uint8 for part in parts)


def test_each_distinct_text_is_encoded_once_and_alone(family):
    images(family)
    assert family.encoded == ["a", "b", "c", "d"]


def test_every_batch_has_the_same_shape(family, monkeypatch):
    shapes = []
    denoise = family.denoise

    def spy(latents, times, cond):
        shapes.append((len(latents), len(times), len(cond.tokens)))
        return denoise(latents, times, cond)

    monkeypatch.setattr(family, "denoise", spy)
    images(family)
    assert set(shapes) == {(8, 8, 8)}  # four prompts, and four of none


def test_an_image_does_not_depend_on_the_batch_size(family):
    small, large = images(family, batch=2), images(family, batch=7)
    assert torch.equal(images(family, batch=2), small)
    # Rounding of the last bit may move a value over the edge between two grey levels.
    assert (small.int() - large.int()).abs().max() <= 1


def test_skipped_batches_do_not_change_the_others(family):
    whole = images(family)
    last = list(
        generate_batches(
            family,
            PROMPTS,
            seeds=SEEDS,
            settings=settings(),
            wanted=lambda indices: 5 in indices,
        )
    )
    assert [batch.start for batch in last] == [4]
    assert torch.equal(last[0].image_u8, whole[4:])


def test_size_follows_the_request(family):
    batch = next(generate_images(family, ["a"], seeds=[0], settings=settings(), size=24))
    assert batch.shape == (1, 1, 24, 24)


def test_large_images_are_decoded_in_parts(family, monkeypatch):
    monkeypatch.setattr("sample.generate.DECODE_PIXELS", 2 * 16 * 16)
    decoded = []
    monkeypatch.setattr(
        family, "decode_latents", lambda latents: decoded.append(len(latents)) or latents
    )
    images(family)
    assert decoded == [2, 2, 2, 2]


def test_rounding_to_grey_levels(family, monkeypatch):
    monkeypatch.setattr(family, "decode_latents", lambda latents: torch.full_like(latents, 0.9961))
    # (0.9961 + 1) · 127.5 = 254.503: rounding gives 255, truncating 254.
    assert int(images(family).min()) == 255


def test_an_image_that_is_not_finite_is_refused(family, monkeypatch):
    def broken(latents):
        latents = latents.clone()
        latents[1, 0, 3, 3] = float("nan")
        return latents

    monkeypatch.setattr(family, "decode_latents", broken)
    with pytest.raises(SynthError, match=r"image 1: .*not finite.*1 of 4 images.*fp32"):
        images(family)


def test_constant_and_broken_images_are_marked(family, monkeypatch):
    def broken(latents):
        latents = latents.clone()
        latents[0], latents[1] = -1.0, float("inf")
        return latents

    monkeypatch.setattr(family, "decode_latents", broken)
    batch = next(generate_batches(family, PROMPTS, seeds=SEEDS, settings=settings()))
    assert batch.constant == (True, True, False, False)
    assert batch.finite == (True, False, True, True)
    assert int(batch.image_u8[1].max()) == 0


def test_seeds_and_prompts_must_pair(family):
    with pytest.raises(UsageError, match="one seed"):
        list(generate_images(family, ["a"], seeds=[1, 2], settings=settings()))
