from __future__ import annotations

import dataclasses

import pytest
import torch
from cases import CASES
from transformers import CLIPTokenizer

from synth.config.schema import ModelSection
from synth.errors import SynthError
from synth.families import load_family
from synth.families.facts import UNKNOWN, codes_of, facts_of, words_of
from synth.manifest import Row
from synth.seeding import torch_generator

CPU = torch.device("cpu")
NAMES = ("view", "sex")


@pytest.fixture(scope="module", params=CASES, ids=[case.name for case in CASES])
def folder(request, tiny_pipeline, tmp_path_factory):
    if request.param.build is None:
        return tiny_pipeline
    path = tmp_path_factory.mktemp("conditions") / "pipeline"
    request.param.build(path, CLIPTokenizer.from_pretrained(tiny_pipeline, subfolder="tokenizer"))
    return path


def load(folder, **model):
    section = ModelSection(weights=str(folder), **model)
    return load_family(section, device=CPU, dtype=torch.float32)


def row(**values) -> Row:
    return Row(file_name="a.png", sample_id="a", split="train", **values)


def test_facts_are_categories_or_unknown():
    names = ("view", "side", "sex", "age_band")
    assert facts_of(row(view="AP", sex="M", age_band="80+"), names) == (1, UNKNOWN, 1, 4)
    assert facts_of(row(view="OBLIQUE", sex=None), names) == (UNKNOWN,) * 4
    sided = row(
        labels={"nodule": 1, "edema": 1, "hernia": 0},
        attributes={"nodule": {"side": "left"}, "edema": {}, "hernia": {"side": "right"}},
    )
    assert words_of(facts_of(sided, ("side",)), ("side",)) == {"side": "left"}
    both = row(
        labels={"nodule": 1, "edema": 1},
        attributes={"nodule": {"side": "left"}, "edema": {"side": "right"}},
    )
    assert words_of(facts_of(both, ("side",)), ("side",)) == {"side": "bilateral"}
    assert codes_of({"sex": "F"}, NAMES) == (UNKNOWN, 0)


@torch.no_grad()
def test_unknown_conditions_change_nothing_and_known_ones_do(folder, tmp_path):
    family = load(folder, conditions=NAMES)
    plain = load(folder)
    x = torch.randn(2, *family.latent_shape(family.size), generator=torch_generator("c"))
    times = family.process.sample_times(torch.tensor([0.3, 0.8]))
    cond = family.encode_prompts(["edema", "small nodule"])
    expected = plain.denoise(x, times, cond)
    hidden = dataclasses.replace(cond, facts=torch.full((2, 2), UNKNOWN))
    torch.testing.assert_close(family.denoise(x, times, cond), expected, rtol=0, atol=0)
    torch.testing.assert_close(family.denoise(x, times, hidden), expected, rtol=0, atol=1e-5)
    for name, parameter in family.trainable():
        if name.startswith("conditions."):
            parameter.copy_(torch.randn(parameter.shape, generator=torch_generator(name)))
    shown = dataclasses.replace(cond, facts=torch.tensor([[0, UNKNOWN], [2, 1]]))
    changed = family.denoise(x, times, shown)
    assert float((changed - expected).abs().max()) > 1e-4
    torch.testing.assert_close(family.denoise(x, times, hidden), expected, rtol=0, atol=1e-5)

    digest = family.export(tmp_path / "out")
    again = load(tmp_path / "out", conditions=NAMES)
    assert again.weights_sha256 == digest
    torch.testing.assert_close(again.denoise(x, times, shown), changed, rtol=0, atol=1e-5)
    with pytest.raises(SynthError, match="trained with other conditions"):
        load(tmp_path / "out", conditions=("view",))
    unconditioned = load(tmp_path / "out")
    torch.testing.assert_close(unconditioned.denoise(x, times, cond), expected, rtol=0, atol=1e-5)
