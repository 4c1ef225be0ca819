from __future__ import annotations

import torch
from safetensors.torch import load_file

from sample.run import generate_dataset
from synth.families.facts import UNKNOWN
from synth.manifest import open_dataset
from train.batches import _shown
from train.run import fine_tune

MODEL = {"conditions": ["view", "sex"], "adapter": "lora", "rank": 2}


def test_conditions_train_resume_and_reach_the_samples(tmp_path, make_config, same_tensors):
    config = make_config(tmp_path / "whole", model=MODEL)
    fine_tune(config)
    fine_tune(make_config(tmp_path / "parts", model=MODEL, steps=1))
    fine_tune(make_config(tmp_path / "parts", model=MODEL))
    for name in ("weights", "ema", "optimizer"):
        file = f"checkpoints/16/{name}.safetensors"
        assert same_tensors(tmp_path / "whole" / file, tmp_path / "parts" / file)
    learned = load_file(tmp_path / "whole/weights/conditions/conditions.safetensors")
    assert float(learned["view"][0].abs().max()) > 0  # PA is in the data
    assert float(learned["sex"][2].abs().max()) == 0  # O is not
    settings = config.sample.model_copy(update={"count": 6, "batch": 3, "device": "cpu"})
    generate_dataset(config.model_copy(update={"sample": settings}))
    made = open_dataset(tmp_path / "whole/synthetic").rows
    real = {row.sample_id: row for row in open_dataset(config.data.dataset).rows}
    for row in made:
        source = real[row.model_extra["source_sample_id"]]
        assert (row.view, row.sex, row.age_band) == (source.view, source.sex, None)
        assert row.model_extra["conditions"] == {"view": source.view, "sex": source.sex}


def test_facts_are_hidden_at_the_rate_asked_for():
    generator = torch.Generator().manual_seed(0)
    drawn = [_shown((1, 2), 0.25, generator) for _ in range(2000)]
    assert 0.22 < sum(facts[0] == UNKNOWN for facts in drawn) / 2000 < 0.28
    assert any(facts == (UNKNOWN, 2) for facts in drawn)  # each on its own
    assert _shown((1, 2), 1.0, generator) == (UNKNOWN, UNKNOWN)
    state = generator.get_state()
    assert _shown((), 0.5, generator) == ()
    assert torch.equal(generator.get_state(), state)
