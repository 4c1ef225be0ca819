"""Generating, editing and making again with every family, on tiny random pipelines."""

import numpy as np
import pytest
import torch
from cases import CASES
from transformers import CLIPTokenizer

from sample.edit import Edit, box_mask, edit_batches
from sample.generate import Asked, BatchMaker
from sample.regenerate import regenerate
from sample.run import generate_dataset
from synth.config.schema import Config, ModelSection, SampleSection
from synth.families import load_family

PROMPTS = ["large left pleural effusion", "no acute finding", "hernia", "a nodule " * 12]


@pytest.fixture(scope="module", params=CASES, ids=[case.name for case in CASES])
def family(request, tiny_pipeline, tmp_path_factory):
    folder = tiny_pipeline
    if request.param.build is not None:
        folder = tmp_path_factory.mktemp(request.param.name) / "pipeline"
        tokenizer = CLIPTokenizer.from_pretrained(tiny_pipeline, subfolder="tokenizer")
        request.param.build(folder, tokenizer)
    model = ModelSection(weights=str(folder))
    return load_family(model, device=torch.device("cpu"), dtype=torch.float32)


def test_batches_in_any_order_are_the_same(family):
    settings = SampleSection(batch=2, steps=2, guidance=2.0)
    asked = [Asked(prompt, seed) for seed, prompt in enumerate(PROMPTS)]
    forward, backward = BatchMaker(family, settings), BatchMaker(family, settings)
    first = [forward(asked[i : i + 2]).image_u8 for i in (0, 2)]
    second = [backward(asked[i : i + 2]).image_u8 for i in (2, 0)][::-1]
    assert torch.equal(torch.cat(first), torch.cat(second))
    size = family.size
    assert torch.cat(first).shape == (4, 1, size, size)
    alone = BatchMaker(family, settings.model_copy(update={"batch": 1}))
    for image, row in zip(torch.cat(first), asked, strict=True):
        assert (alone([row]).image_u8[0].int() - image.int()).abs().max() <= 2


def test_a_region_is_made_anew_and_the_rest_stays(family):
    size = family.size
    image = np.tile(np.linspace(60, 200, size).astype(np.uint8), (size, 1))
    mask = box_mask((0, 0, size // 2, size), size)
    settings = SampleSection(batch=2, steps=3, guidance=2.0)
    edit = Edit(image, PROMPTS[0], 0.7, mask)
    made = next(edit_batches(family, edit, seeds=[1, 2], settings=settings)).image_u8[:, 0].numpy()
    assert (made[:, ~mask] == image[~mask]).all()
    assert (made[:, mask] != image[mask]).any()


def test_rows_give_their_images_again(family, tiny_dataset, tmp_path):
    config = Config.model_validate(
        {
            "run": {"out": tmp_path / "run"},
            "data": {"dataset": tiny_dataset},
            "sample": {"count": 3, "batch": 3, "steps": 2, "guidance": 2.0},
        }
    )
    out = generate_dataset(config, family=family).out
    again = regenerate(out, "syn-000001", Config(), family=family)
    assert (again.verdict, again.file_same) == ("identical", True)
