import pytest
import torch
from diffusers.models.activations import GEGLU
from diffusers.models.attention_processor import Attention
from diffusers.models.upsampling import Upsample2D
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from synth.families.packed import packed

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN"
)


def network():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(24, 40), nn.GELU(), nn.Linear(40, 8, bias=False))
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return model


def inputs(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize("shape", [(3, 7, 24), (5, 24), (1, 24)])
def test_every_call_gives_the_same_numbers_and_bits(shape):
    model, x = network(), inputs(*shape)
    expected = model(x)
    with packed(model):
        first = model(x)
        assert all(torch.equal(model(x), first) for _ in range(3))
    torch.testing.assert_close(first, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_wrong_product_would_be_seen(monkeypatch):
    model, x = network(), inputs(4, 24)
    expected = model(x)
    zeros = torch.zeros(4, 8)
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda *_: zeros)
    with packed(model[2:]):
        assert not torch.allclose(model(x), expected)


@torch.no_grad()
def test_the_module_comes_back_as_it_was():
    model = network()

    def fail_inside():
        with packed(model):
            assert "forward" in model[0].__dict__
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert not any("forward" in layer.__dict__ for layer in model)


def test_gradients_and_other_precisions_are_left_alone():
    model = network()
    with packed(model):
        model(inputs(2, 24)).sum().backward()
    assert model[0].weight.grad is not None
    half = network().to(torch.bfloat16)
    with torch.no_grad(), packed(half):
        assert not any("forward" in layer.__dict__ for layer in half)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), packed(model):
        assert model(inputs(2, 24)).dtype is torch.bfloat16


@torch.no_grad()
def test_memory_for_weights_held_twice_is_limited(monkeypatch):
    monkeypatch.setattr("synth.families.packed.PACKED_BYTES", 24 * 40 * 4)
    model = network()
    with packed(model):
        assert "forward" in model[0].__dict__
        assert "forward" not in model[2].__dict__


@torch.no_grad()
def test_weights_changed_between_two_blocks_are_read_again():
    model, x = network(), inputs(3, 24)
    with packed(model):
        model(x)
    model[0].weight.data.mul_(2.0)
    expected = model(x)
    with packed(model):
        torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_weights_that_may_be_sharded_are_left_alone(tmp_path):
    model = network()
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1
    )
    try:
        with packed(model):
            assert not any("forward" in layer.__dict__ for layer in model)
    finally:
        torch.distributed.destroy_process_group()


@torch.no_grad()
def test_nothing_is_packed_where_tensors_are_imagined():
    model = network()
    with FakeTensorMode(allow_non_fake_inputs=True), packed(model):
        assert not any("forward" in layer.__dict__ for layer in model)
        assert model(torch.empty(3, 24)).shape == (3, 8)


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
def test_a_gated_layer_gives_the_same_numbers_by_one_way(bias):
    gated, x = GEGLU(24, 40, bias=bias), inputs(3, 7, 24)
    expected = gated(x)
    with packed(gated):
        assert "forward" in gated.__dict__
        assert "forward" not in gated.proj.__dict__  # counted and held once
        first, second = gated(x), gated(x)
    assert torch.equal(first, second)
    torch.testing.assert_close(first, expected, rtol=1e-5, atol=1e-5)
    assert not torch.equal(expected, torch.zeros_like(expected))
    assert "forward" not in gated.__dict__


@torch.no_grad()
def test_a_gated_layer_with_an_adapter_is_left_alone():
    class Adapted(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1.0

    gated, x = GEGLU(24, 40), inputs(3, 24)
    gated.proj = Adapted(24, 80)
    expected = gated(x)
    with packed(gated):
        assert "forward" not in gated.__dict__
        assert torch.equal(gated(x), expected)


@torch.no_grad()
@pytest.mark.parametrize(
    "options",
    [
        {"padding": 1},
        {"padding": (0, 2), "stride": 2},
        {"padding": 2, "dilation": 2, "bias": False},
    ],
)
def test_a_convolution_gives_the_same_numbers_in_channels_last(options):
    torch.manual_seed(0)
    layer, x = nn.Conv2d(6, 10, 3, **options), inputs(3, 6, 12, 9)
    expected = [layer(x), layer(x[:, :, :8])]
    with packed(layer):
        found = [layer(x), layer(x[:, :, :8].contiguous(memory_format=torch.channels_last))]
    for ours, stock in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, stock, rtol=1e-5, atol=1e-5)
        assert ours.is_contiguous(memory_format=torch.channels_last)
        assert not stock.is_contiguous(memory_format=torch.channels_last)


@torch.no_grad()
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
    ],
)
def test_a_convolution_of_another_kind_is_left_alone(layer):
    with packed(layer):
        assert "forward" not in layer.__dict__


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(2, 6, 5, 7), (1, 6, 1, 1), (70, 6, 4, 4)])
def test_doubling_and_a_convolution_give_the_same_pixels_up_to_the_border(shape, bias):
    torch.manual_seed(0)
    layer, x = Upsample2D(6, use_conv=True, out_channels=10, bias=bias), inputs(*shape)
    expected = layer(x)
    assert expected.shape == (shape[0], 10, 2 * shape[2], 2 * shape[3])
    with packed(layer):
        assert "forward" in layer.__dict__
        assert "forward" not in layer.conv.__dict__
        for found in (layer(x), layer(x, 2 * torch.tensor(shape[2:]).numpy())):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_another_size_than_the_double_goes_torchs_way():
    torch.manual_seed(0)
    layer, x = Upsample2D(6, use_conv=True), inputs(2, 6, 5, 7)
    expected = layer(x, (9, 13))
    with packed(layer):
        assert torch.equal(layer(x, (9, 13)), expected)


@torch.no_grad()
def test_doubling_without_a_convolution_is_left_alone():
    layer = Upsample2D(6, use_conv=False)
    with packed(layer):
        assert "forward" not in layer.__dict__


@torch.no_grad()
def test_a_text_is_projected_once_and_again_when_it_changes(monkeypatch):
    torch.manual_seed(0)
    layer = Attention(8, cross_attention_dim=6, heads=2, dim_head=4)
    x, text = inputs(2, 5, 8), inputs(2, 3, 6)
    expected = layer(x, encoder_hidden_states=text)
    calls = []
    product = torch.ops.mkldnn._linear_pointwise
    with packed(layer):
        monkeypatch.setattr(
            torch.ops.mkldnn, "_linear_pointwise", lambda *a: calls.append(a[0]) or product(*a)
        )
        torch.testing.assert_close(layer(x, encoder_hidden_states=text), expected)
        torch.testing.assert_close(layer(2 * x, encoder_hidden_states=text), layer(2 * x, text))
        assert sum(a is text for a in calls) == 2  # its keys and its values
        text.mul_(-3.0)
        changed = layer(x, encoder_hidden_states=text)
        assert sum(a is text for a in calls) == 4
        other = layer(x, encoder_hidden_states=inputs(2, 3, 6))
    torch.testing.assert_close(changed, layer(x, encoder_hidden_states=text))
    torch.testing.assert_close(other, expected)
    assert not torch.allclose(changed, expected)


@torch.no_grad()
def test_the_texts_with_and_without_words_are_both_kept_and_ever_new_ones_are_not():
    torch.manual_seed(0)
    layer = Attention(8, cross_attention_dim=6, heads=2, dim_head=4)
    x, texts = inputs(2, 5, 8), [inputs(2, 3, 6), -inputs(2, 3, 6)]
    with packed(layer):
        kept = layer.to_k.__dict__["forward"]
        first = [layer(x, encoder_hidden_states=text) for text in texts]
        held = [entry[2] for entry in kept._seen]
        again = [layer(x, encoder_hidden_states=text) for text in texts]
        assert all(entry[2] is old for entry, old in zip(kept._seen, held, strict=True))
        assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
        for _ in range(3):
            fresh = texts[0].clone()
            assert torch.equal(layer(x, encoder_hidden_states=fresh), first[0])
        assert kept._seen == []


@pytest.mark.parametrize("inside", [True, False])
def test_inference_mode_is_served(inside):
    layer = Attention(8, cross_attention_dim=6, heads=2, dim_head=4)
    with torch.inference_mode():
        x, text = inputs(2, 5, 8), inputs(2, 3, 6)
        expected = layer(x, encoder_hidden_states=text)
    with torch.inference_mode() if inside else torch.no_grad(), packed(layer):
        for _ in range(2):
            torch.testing.assert_close(layer(x, encoder_hidden_states=text), expected)


@torch.no_grad()
def test_the_weights_of_a_doubling_are_counted_as_they_are_held(monkeypatch):
    layer = Upsample2D(9, use_conv=True)
    whole = 4 * 9 * 9 * 16
    for room, done in ((whole - 1, False), (whole, True)):
        monkeypatch.setattr("synth.families.packed.PACKED_BYTES", room)
        with packed(layer):
            assert ("forward" in layer.__dict__) is done
