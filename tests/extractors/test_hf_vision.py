import json

import numpy as np
import pytest
import torch
from PIL import Image

from synth.errors import SynthError
from synth.extractors.base import in_batches
from synth.extractors.open import open_extractor

KINDS = {
    "vit": ("pooler", 16),
    "vit-classifier": ("cls", 16),
    "dinov2": ("pooler", 16),
    "clip": ("image", 12),
    "siglip": ("image", 16),
    "resnet": ("pooler", 12),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_vision_model(hf_folder, images, kind):
    extractor = open_extractor(f"hf:{hf_folder(kind)}")
    output, dim = KINDS[kind]
    whole = in_batches(extractor, images)
    assert whole.shape == (9, dim)
    assert f"-{output}@32-pad-bicubic-" in extractor.id
    assert extractor.weights_sha256[:12] in extractor.id
    torch.testing.assert_close(in_batches(extractor, images, batch=2), whole, rtol=1e-4, atol=1e-5)
    assert not whole.requires_grad


@pytest.mark.parametrize("kind", ["vit-classifier", "clip"])
def test_the_id_is_the_same_at_every_load(hf_folder, images, kind):
    folder = hf_folder(kind)
    first = open_extractor(str(folder))  # a path alone is recognised
    torch.manual_seed(99)
    second = open_extractor(f"hf:{folder}")
    assert first.id == second.id  # no part of it comes from layers without weights
    assert torch.equal(first(images), second(images))


def test_equal_to_the_models_own_class_on_square_images_of_its_size(hf_folder):
    from transformers import Dinov2Model

    folder = hf_folder("dinov2")
    image = torch.randint(0, 256, (1, 1, 32, 32), dtype=torch.uint8)
    said = json.loads((folder / "preprocessor_config.json").read_text())
    mean, std = (
        torch.tensor(said[name]).reshape(1, 3, 1, 1) for name in ("image_mean", "image_std")
    )
    pixels = (image.float() / 255 - mean) / std
    with torch.no_grad():
        expected = Dinov2Model.from_pretrained(folder).eval()(pixels).pooler_output
    torch.testing.assert_close(open_extractor(f"hf:{folder}")(image), expected)


def test_other_preprocessing_is_another_extractor(hf_folder):
    folder = hf_folder("vit")
    before = open_extractor(f"hf:{folder}")
    path = folder / "preprocessor_config.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps(said | {"image_mean": [0.5, 0.5, 0.5]}))
    after = open_extractor(f"hf:{folder}")
    assert before.weights_sha256 == after.weights_sha256
    assert before.id != after.id


def test_missing_weights_are_refused(hf_folder):
    from safetensors.torch import load_file, save_file

    folder = hf_folder("dinov2")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors.pop(next(name for name in tensors if "attention" in name))
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(SynthError, match="features would be random"):
        open_extractor(f"hf:{folder}")


def test_no_model_is_one_line(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(SynthError, match="not a Hugging Face model"):
        open_extractor(f"hf:{tmp_path}")
