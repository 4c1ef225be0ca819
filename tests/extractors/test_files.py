"""TorchScript and ONNX files, and packages of extras."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from synth.errors import SynthError, Unavailable, UsageError
from synth.extractors.open import LOADERS, open_extractor

SPEC = "size: 16\nmean: [0.5, 0.5, 0.5]\nstd: [0.2, 0.2, 0.2]\nname: tokens\n"


def with_spec(path, text):
    path.with_suffix(".yaml").write_text(text)
    return path


@pytest.mark.parametrize(
    ("more", "dim"),
    [
        ("output: 0\npooling: mean", 5),
        ("output: 0\npooling: cls\nunit_length: true", 5),
        ("output: 1", 6),
    ],
)
def test_a_torchscript_file(script, images, more, dim):
    extractor = open_extractor(f"torchscript:{with_spec(script, SPEC + more)}")
    found = extractor(images)
    assert extractor.name == "tokens"
    assert found.shape == (9, dim)
    if "unit" in more:
        assert torch.allclose(found.norm(dim=1), torch.ones(9), atol=1e-5)
        assert "-unit@" in extractor.id


def test_outputs_are_different_extractors(script):
    ids = {
        open_extractor(str(with_spec(script, SPEC + more))).id
        for more in ("output: 1", "pooling: mean", "pooling: cls")
    }
    assert len(ids) == 3


def test_float_input_is_what_the_network_sees(script, images):
    extractor = open_extractor(str(with_spec(script, SPEC + "output: 1")))
    fine = extractor.preprocess.fit([images[0, 0].numpy() / 255.0 + 1e-4])
    coarse = extractor.preprocess.fit_u8(images[:1])
    assert not torch.equal(extractor.embed(fine.clamp(0, 1)), extractor.embed(coarse))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("size: 16\n", "no vector an image"),  # tokens are not pooled
        ("size: 16\nchannels: 1\noutput: 1\n", "does not take such images"),
        ("size: 16\noutput: 7\n", "does not take such images"),
        ("size: -1\n", "bad value for `size`"),
        ("size: 16\nsqueeze: true\n", "bad value for `squeeze`"),
        ("[1, 2]", "bad value for"),
        ("size: [", "not valid YAML"),
    ],
)
def test_a_wrong_spec_is_one_line(script, text, match):
    with pytest.raises(SynthError, match=match):
        open_extractor(f"torchscript:{with_spec(script, text)}")


def test_no_spec_no_file_and_no_script(script, tmp_path):
    with pytest.raises(SynthError, match="no YAML beside"):
        open_extractor(f"torchscript:{script}")
    with pytest.raises(SynthError, match="no such file"):
        open_extractor(f"torchscript:{tmp_path / 'absent.pt'}")
    bad = tmp_path / "bad.pt"
    bad.write_bytes(b"not a script")
    with pytest.raises(SynthError, match="not a TorchScript file"):
        open_extractor(str(with_spec(bad, SPEC)))


@pytest.mark.parametrize(
    ("text", "module", "extra"),
    [
        ("timm:vit_tiny", "timm", "timm"),
        ("open_clip:local-dir:x", "open_clip", "open-clip"),
        ("xrv:densenet121-res224-all", "torchxrayvision", "xrv"),
        ("onnx:{file}", "onnxruntime", "onnx"),
        ("inception:{file}", "torch_fidelity", "inception"),
    ],
)
def test_a_missing_package_names_its_extra(script, monkeypatch, text, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, f"{module}.feature_extractor_inceptionv3", None)
    with_spec(script, SPEC)
    with pytest.raises(Unavailable, match=rf"medical-image-synthesis\[{extra}\]"):
        open_extractor(text.format(file=script))


class Pooled(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(1.0, 1.0 + channels))

    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)) * self.weight

    features2 = encode_image = forward


def test_timm_by_its_own_preprocessing(monkeypatch, images):
    fake = ModuleType("timm")
    asked = {}
    fake.create_model = lambda name, **given: asked.update(given, name=name) or Pooled(3)
    config = {"input_size": (3, 24, 24), "interpolation": "bilinear"}
    config |= {"mean": (0.1, 0.2, 0.3), "std": (1.0, 1.0, 1.0)}
    fake.data = SimpleNamespace(resolve_model_data_config=lambda _model: config)
    monkeypatch.setitem(sys.modules, "timm", fake)
    extractor = open_extractor("timm:vit_tiny=weights.bin")
    assert asked == {"name": "vit_tiny", "checkpoint_path": "weights.bin", "num_classes": 0}
    assert extractor(images).shape == (9, 3)
    assert extractor.id.endswith(extractor.preprocess.id)
    assert "24-pad-bilinear" in extractor.id


def test_xrv_gets_its_range(monkeypatch):
    fake = ModuleType("torchxrayvision")
    fake.models = SimpleNamespace(DenseNet=lambda weights: Pooled(1))
    monkeypatch.setitem(sys.modules, "torchxrayvision", fake)
    extractor = open_extractor("xrv:densenet121-res224-all")
    white = torch.full((1, 1, 224, 224), 255, dtype=torch.uint8)
    assert extractor(white).item() == pytest.approx(1024.0)
    assert extractor(white * 0).item() == pytest.approx(-1024.0)


def test_open_clip_gives_unit_vectors_and_needs_weights(monkeypatch, images):
    fake = ModuleType("open_clip")
    model = Pooled(3)
    model.visual = SimpleNamespace(preprocess_cfg={"size": (20, 20), "mean": (0, 0, 0)})
    fake.create_model_and_transforms = lambda name, pretrained: (model, None, None)
    fake.OPENAI_DATASET_MEAN, fake.OPENAI_DATASET_STD = (0.5,) * 3, (0.25,) * 3
    monkeypatch.setitem(sys.modules, "open_clip", fake)
    extractor = open_extractor("open_clip:local-dir:folder")
    assert extractor.preprocess.std == (0.25,) * 3
    assert torch.allclose(extractor(images).norm(dim=1), torch.ones(9), atol=1e-5)
    with pytest.raises(SynthError, match="without weights would be random"):
        open_extractor("open_clip:ViT-B-32")


def test_inception_gets_rounded_bytes(monkeypatch, tmp_path):
    seen = []

    class Network(Pooled):
        def __init__(self, *_, **__):
            super().__init__(3)

        def forward(self, pixels):
            seen.append(pixels.dtype)
            return (pixels.float().mean(dim=(2, 3)),)

    fake = ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    fake.FeatureExtractorInceptionV3 = Network
    monkeypatch.setitem(sys.modules, "torch_fidelity", ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"weights")
    extractor = open_extractor(f"inception:{weights}")
    found = extractor.embed(torch.full((1, 1, 299, 299), 0.999))  # 254.745: truncating gives 254
    assert found[0].tolist() == pytest.approx([255.0] * 3, abs=0.01)
    assert set(seen) == {torch.uint8}


def test_an_onnx_file_through_the_runtime(monkeypatch, script, images):
    class Session:
        def __init__(self, path, providers):
            assert providers == ["CPUExecutionProvider"]

        def get_inputs(self):
            return [SimpleNamespace(name="pixels")]

        def get_outputs(self):
            return [SimpleNamespace(name="tokens"), SimpleNamespace(name="vector")]

        def run(self, names, given):
            assert names == ["vector"]
            return [given["pixels"].mean(axis=(2, 3))]

    fake = ModuleType("onnxruntime")
    fake.InferenceSession = Session
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    path = script.with_suffix(".onnx")
    script.rename(path)
    with_spec(path, SPEC + "output: vector")
    assert open_extractor(str(path))(images).shape == (9, 3)
    with_spec(path, SPEC + "output: other")
    with pytest.raises(SynthError, match="no such output"):
        open_extractor(str(path))


def test_unknown_extractors_are_usage_errors():
    with pytest.raises(UsageError, match="Did you mean `random-conv`"):
        open_extractor("random-cov")
    with pytest.raises(UsageError, match="lacks its weights"):
        open_extractor("hf:")


def test_every_loader_imports():
    for name in LOADERS.names():
        assert callable(LOADERS.get(name))
