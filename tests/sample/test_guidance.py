"""Guidance: its closed forms, where it acts, and one weight a prompt."""

from dataclasses import replace

import pytest
import torch

from sample.generate import generate_images
from sample.guidance import Guidance
from sample.plan import make_plan
from sample.regenerate import regenerate
from sample.run import generate_dataset
from sample.solve import solve
from synth.config.schema import SampleSection
from synth.errors import UsageError
from synth.manifest import open_dataset


def passes(cond, uncond, **settings):
    return Guidance(**({"weights": 3.0} | settings)).mix(cond, uncond)


def pair():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 2, 4, 4, generator=generator)


def test_the_mix_is_the_extrapolation():
    cond, uncond = pair()
    torch.testing.assert_close(passes(cond, uncond), uncond + 3.0 * (cond - uncond))


def test_each_sample_has_its_own_weight():
    cond, uncond = pair()
    mixed = passes(cond, uncond, weights=(1.0, 2.0, 5.0))
    assert torch.equal(mixed[0], cond[0])  # bit for bit
    torch.testing.assert_close(mixed[1], uncond[1] + 2.0 * (cond[1] - uncond[1]))
    torch.testing.assert_close(mixed[2], uncond[2] + 5.0 * (cond[2] - uncond[2]))


def test_rescale_is_that_of_diffusers():
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

    cond, uncond = pair()
    plain = passes(cond, uncond)
    for amount in (0.3, 1.0):
        expected = rescale_noise_cfg(plain, cond, guidance_rescale=amount)
        torch.testing.assert_close(passes(cond, uncond, rescale=amount), expected)
    full = passes(cond, uncond, rescale=1.0)
    torch.testing.assert_close(full.flatten(1).std(dim=1), cond.flatten(1).std(dim=1))


def test_the_interval_says_when_it_acts():
    guide = Guidance(2.0, interval=(0.2, 0.7))
    assert [guide.acts(time) for time in (0.0, 0.19, 0.2, 0.5, 0.7, 0.71, 1.0)] == [
        *(False, False, True, True, True, False, False)
    ]
    assert not Guidance(1.0).acts(0.5)
    assert Guidance((1.0, 1.5)).acts(0.5)


def test_outside_of_the_interval_the_unconditional_pass_is_skipped(family):
    cond = family.encode_prompts(["x"])
    counts = []
    for interval in ((0.0, 1.0), (0.3, 0.6), (0.0, 0.0)):
        family.rows = 0
        guide = Guidance(2.0, interval=interval)
        solve(family, cond, seeds=[0], size=16, steps=10, guidance=guide, solver="ddim")
        counts.append(family.rows)
    # DDIM's ten times are 1, 101, … 901 of 1000: three lie within [0.3, 0.6].
    assert counts == [20, 13, 10]


def test_a_row_of_one_weight_does_not_change_with_its_neighbours(family):
    cond = family.encode_prompts(["a", "a", "a"])

    def images(weights):
        guide = Guidance(weights)
        return solve(family, cond, seeds=[1, 2, 3], size=16, steps=5, guidance=guide, solver="ddim")

    mixed = images((1.0, 2.0, 4.0))
    for place, weight in enumerate((1.0, 2.0, 4.0)):
        assert torch.equal(mixed[place], images(weight)[place])


def test_settings_reach_the_images(family, monkeypatch):
    denoise = family.denoise  # exact, the passes differ by a constant: rescaling would do nothing
    monkeypatch.setattr(
        family, "denoise", lambda x, t, cond: (1 + cond.tokens[..., None]) * denoise(x, t, cond)
    )

    def image(**values):
        settings = SampleSection.model_validate({"batch": 2, "steps": 5, "guidance": 4.0} | values)
        return next(generate_images(family, ["a", "b"], seeds=[1, 2], settings=settings))

    plain = image()
    assert torch.equal(plain, image(guidance_interval=(0.0, 1.0), guidance_rescale=0.0))
    assert not torch.equal(plain, image(guidance_interval=(0.0, 0.4)))
    assert not torch.equal(plain, image(guidance_rescale=0.7))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": 0.9}, "sample.guidance"),
        ({"weights": float("nan")}, "sample.guidance"),
        ({"weights": (2.0, 0.5)}, "sample.guidance"),
        ({"weights": 2.0, "interval": (0.6, 0.3)}, "guidance_interval"),
        ({"weights": 2.0, "interval": (0.0, 1.2)}, "guidance_interval"),
        ({"weights": 2.0, "rescale": 1.1}, "guidance_rescale"),
    ],
)
def test_wrong_settings_are_explained(settings, message):
    with pytest.raises(UsageError, match=message):
        Guidance(**settings)


def test_weights_and_prompts_must_pair(family):
    with pytest.raises(UsageError, match="one guidance weight"):
        solve(
            family,
            family.encode_prompts(["x"]),
            seeds=[0],
            size=16,
            steps=2,
            guidance=Guidance((2.0, 3.0)),
            solver="ddim",
        )


def test_a_planned_row_brings_its_own_weight(config, family, monkeypatch):
    weights = [None, 1.0, 4.0]

    def plan(config, real):
        made = make_plan(config, real)
        rows = [replace(row, guidance=weights[i % 3]) for i, row in enumerate(made.rows)]
        return replace(made, rows=tuple(rows))

    plain = open_dataset(generate_dataset(config, family=family).out)
    monkeypatch.setattr("sample.run.make_plan", plan)
    own = config.model_copy(
        update={"sample": config.sample.model_copy(update={"out": config.run.out / "own"})}
    )
    made = open_dataset(generate_dataset(own, family=family).out)
    assert [row.guidance for row in made.rows[:4]] == [2.0, 1.0, 4.0, 2.0]
    same = [a.pixel_sha256 == b.pixel_sha256 for a, b in zip(plain.rows, made.rows, strict=True)]
    assert same == [i % 3 == 0 for i in range(22)]
    for row in made.rows[:3]:
        again = regenerate(made.folder, row.sample_id, config, family=family)
        assert again.verdict == "identical"


@pytest.mark.parametrize(
    "values", [{"guidance_interval": (0.5, 0.2)}, {"guidance_rescale": 2.0}, {"retries": -1}]
)
def test_the_configuration_refuses_the_same(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        SampleSection.model_validate(values)
