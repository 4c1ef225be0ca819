import numpy as np
import pytest
import torch

from synth.errors import SynthError
from synth.extractors.preprocess import Preprocess


def test_padded_never_squashed():
    wide = np.ones((10, 30), dtype=np.float32)
    unit = Preprocess(30).fit([wide])[0, 0]
    assert unit.shape == (30, 30)
    assert torch.equal(unit[10:20], torch.ones(10, 30))
    assert unit[:10].max() == unit[20:].max() == 0


def test_a_16_bit_ramp_keeps_its_levels():
    ramp = (np.arange(4096) / 65535).reshape(64, 64)
    assert len(Preprocess(64).fit([ramp]).unique()) == 4096


@pytest.mark.parametrize("resize", ["bilinear", "bicubic"])
def test_constants_stay_and_checkers_average(resize):
    process = Preprocess(16, resize=resize)
    constant = process.fit([np.full((50, 50), 0.7)])
    assert torch.allclose(constant, torch.tensor(0.7), atol=1e-6)
    checkers = (np.indices((64, 64)).sum(0) % 2).astype(np.float32)
    inside = process.fit([checkers])[..., 2:-2, 2:-2]
    assert (inside - 0.5).abs().max() < 0.05  # plain sampling would give 0 and 1


def test_what_the_network_gets():
    process = Preprocess(4, channels=3, low=-1, high=1, mean=(0.1, 0.2, 0.3), std=(2, 2, 2))
    given = process.network_input(torch.full((2, 1, 4, 4), 0.75))
    expected = (0.5 - torch.tensor([0.1, 0.2, 0.3])) / 2
    assert given.shape == (2, 3, 4, 4)
    assert torch.allclose(given[1, :, 2, 2], expected)


def test_one_channel_equals_three_equal_ones():
    image = torch.randint(0, 256, (2, 1, 20, 20), dtype=torch.uint8)
    process = Preprocess(8)
    assert torch.allclose(process.fit_u8(image), process.fit_u8(image.repeat(1, 3, 1, 1)))
    greys = [row[0].numpy() / 255.0 for row in image]
    assert torch.allclose(process.fit_u8(image), process.fit(greys), atol=1e-6)


def test_every_number_is_in_the_id():
    base = Preprocess(32)
    others = [
        Preprocess(31),
        Preprocess(32, resize="bilinear"),
        Preprocess(32, channels=1),
        Preprocess(32, low=-1.0),
        Preprocess(32, high=255.0),
        Preprocess(32, mean=(0.5,)),
        Preprocess(32, std=(0.5,)),
    ]
    assert len({base.id, *(item.id for item in others)}) == 8
    assert "bicubic" in base.id
    assert "antialiased" in base.words


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": 8, "channels": 2},
        {"size": 8, "resize": "nearest"},
        {"size": 8, "std": (0.0,)},
        {"size": 8, "mean": (0.1, 0.2)},
        {"size": 8, "low": 1.0},
    ],
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(SynthError):
        Preprocess(**wrong)


def test_images_beyond_the_range_are_refused():
    with pytest.raises(SynthError, match="beyond"):
        Preprocess(4).network_input(torch.full((1, 1, 4, 4), 1.5))
    with pytest.raises(SynthError, match="another size"):
        Preprocess(4).network_input(torch.zeros(1, 1, 5, 5))
    with pytest.raises(SynthError, match="8-bit"):
        Preprocess(4).fit_u8(torch.zeros(1, 1, 5, 5))
