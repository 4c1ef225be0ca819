"""What both halves of a guided batch share is computed once, and is the same."""

import threading

import pytest
import torch
from diffusers import UNet2DConditionModel

from sample.halves import shared_halves
from sample.solve import solve
from synth.config.schema import ModelSection
from synth.families import load_family

SMALL = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": 2,
    "cross_attention_dim": 6,
}
UP = {"up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D")}
TEXT_FIRST = {**UP, "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D")}


def unet(**options):
    torch.manual_seed(0)
    return UNet2DConditionModel(**{**SMALL, **options}).eval()


def asked(seed=1):
    """Two halves with the same latents and times, and different texts."""
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(3, 4, 8, 8, generator=generator).repeat(2, 1, 1, 1)
    return latents, torch.full((6,), 400.0), torch.randn(6, 5, 6, generator=generator)


def rows_seen(model, parts):
    """How many rows each part is run on."""
    seen = {}
    hooks = [
        part.register_forward_hook(lambda _, given, out, name=name: seen.update({name: len(out)}))
        for name, part in parts.items()
    ]
    with torch.no_grad():
        model(*asked())
    for hook in hooks:
        hook.remove()
    return seen


@torch.no_grad()
@pytest.mark.parametrize(
    "options",
    [
        TEXT_FIRST,
        {**TEXT_FIRST, "use_linear_projection": True},
        {**TEXT_FIRST, "only_cross_attention": True},
        {**UP, "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D")},
    ],
)
def test_sharing_changes_nothing(options):
    model, (latents, times, texts) = unet(**options), asked()
    expected = model(latents, times, texts).sample
    with shared_halves(model):
        found = model(latents, times, texts).sample
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    without, given = expected.chunk(2)
    assert not torch.allclose(without, given, atol=1e-3)  # or a text that is not read would pass


@torch.no_grad()
def test_the_layers_before_the_text_run_on_half_of_the_rows_and_come_back():
    model = unet(**TEXT_FIRST)
    block = model.down_blocks[0]
    inner = block.attentions[0].transformer_blocks[0]
    inside = {"convolution": block.resnets[0].conv1, "itself": inner.attn1.to_q}
    after = {"text": inner.attn2.to_q, "last": model.conv_out}
    with shared_halves(model):
        assert rows_seen(model, {**inside, **after}) == {
            "convolution": 3,
            "itself": 3,
            "text": 6,
            "last": 6,
        }
    assert set(rows_seen(model, {**inside, **after}).values()) == {6}
    assert not any("forward" in part.__dict__ for part in model.modules())


def test_a_replaced_forward_comes_back_as_it_was_even_after_an_error():
    model = unet(**TEXT_FIRST)
    own = model.conv_in.forward
    model.conv_in.__dict__["forward"] = own

    def fail_inside():
        with shared_halves(model):
            assert model.conv_in.__dict__["forward"] is not own
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert model.conv_in.__dict__["forward"] is own


def test_denoisers_of_another_build_are_left_alone():
    added = unet(
        **TEXT_FIRST,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=30,
    )
    for model in (added, torch.nn.Linear(2, 2)):
        with shared_halves(model):
            assert not any("forward" in part.__dict__ for part in model.modules())


@torch.no_grad()
def test_guided_sampling_shares_and_a_pass_without_guidance_does_not(monkeypatch):
    model = ModelSection(weights="builtin:tiny")
    family = load_family(model, device=torch.device("cpu"), dtype=torch.float32)
    monkeypatch.setattr("synth.families.packed._possible", lambda: False)
    rows = []
    hook = family.denoiser.conv_in.register_forward_hook(lambda *a: rows.append(len(a[2])))
    first = family.denoiser.down_blocks[0].resnets[0].conv1
    inside = []
    other = first.register_forward_hook(lambda *a: inside.append(len(a[2])))
    cond = family.encode_prompts(["large left pleural effusion", "no acute finding"])
    settings = {"seeds": [1, 2], "size": 128, "steps": 2, "solver": "ddim"}
    solve(family, cond, guidance=3.0, **settings)
    assert (rows, inside) == ([4, 4], [2, 2])
    solve(family, cond, guidance=1.0, **settings)
    assert inside[2:] == [2, 2]
    hook.remove()
    other.remove()


@torch.no_grad()
def test_two_threads_with_one_model_do_not_meet():
    """Blocks that overlap, one left before the other, and a pass outside of any."""
    model, given = unet(**TEXT_FIRST), [asked(seed) for seed in (1, 2, 3)]
    expected = [model(*one).sample for one in given]
    entered, left, found = threading.Event(), threading.Event(), {}

    @torch.no_grad()
    def first():
        with shared_halves(model):
            entered.set()
            assert second_entered.wait(10)
            found["first"] = model(*given[0]).sample
        left.set()

    second_entered = threading.Event()
    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(10)
    with shared_halves(model):
        second_entered.set()
        found["second"] = model(*given[1]).sample
        assert left.wait(10)
        found["later"] = model(*given[1]).sample
    thread.join()
    found["outside"] = model(*given[2]).sample
    for name, of in (("first", 0), ("second", 1), ("later", 1), ("outside", 2)):
        torch.testing.assert_close(found[name], expected[of], rtol=1e-5, atol=1e-5)
    with shared_halves(model):
        pass
    assert not any("forward" in part.__dict__ for part in model.modules())
