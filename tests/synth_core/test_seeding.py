import hashlib

import numpy as np
import pytest
import torch

from synth.seeding import numpy_rng, seed_from, torch_generator


def test_seeds_are_the_same_for_ever():
    # blake2b, 8 bytes, of "str:sample␟int:0␟str:syn-000001", shifted right by one.
    digest = hashlib.blake2b(b"str:sample\x1fint:0\x1fstr:syn-000001", digest_size=8).digest()
    expected = int.from_bytes(digest, "big") >> 1
    assert seed_from("sample", 0, "syn-000001") == expected == GOLDEN


GOLDEN = 8516991431635799392


def test_parts_do_not_run_together():
    seeds = {
        seed_from("a", "b"),
        seed_from("ab"),
        seed_from("a", 1),
        seed_from("a", "1"),
        seed_from("a", 1, 1),
        seed_from("a", 11),
        seed_from("b", "a"),
    }
    assert len(seeds) == 7
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_numpy_integers_are_integers_and_floats_are_refused():
    assert seed_from("x", np.int64(3)) == seed_from("x", np.uint8(3)) == seed_from("x", 3)
    with pytest.raises(TypeError):
        seed_from("x", 0.5)


def test_generators_follow_their_parts_and_leave_global_state_alone():
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first, again, other = (
        torch.randn(1000, generator=torch_generator("noise", seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert abs(float(torch.corrcoef(torch.stack([first, other]))[0, 1])) < 0.15
    assert np.array_equal(
        numpy_rng("order", 1).permutation(9), numpy_rng("order", 1).permutation(9)
    )
    assert not np.array_equal(numpy_rng("a").random(4), numpy_rng("b").random(4))
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
