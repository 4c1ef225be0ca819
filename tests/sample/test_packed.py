import pytest
import torch
from diffusers.models.activations import GEGLU
from torch import nn

from sample.packed import packed

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
    monkeypatch.setattr("sample.packed.PACKED_BYTES", 24 * 40 * 4)
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
