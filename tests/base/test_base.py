from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from synth.data.phantom import draw_patient, render
from synth.families.weights import resolve_weights
from synth.images import fit_square, grey_to_u8
from synth.progress import Progress, Silent
from train.base.autoencoder import psnr, train_autoencoder
from train.base.denoiser import _order, _pools, train_denoiser
from train.base.images import UNSEEN, BaseImages
from train.base.language import new_text_encoder, new_tokenizer

PROMPTS = ("Small left nodule.", "Normal chest radiograph.", "Severe edema.")


@pytest.fixture(scope="module")
def data() -> BaseImages:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(136, 128, 128), dtype=np.uint8)
    findings = tuple((("nodule",), (), ("edema",))[i % 3] for i in range(136))
    return BaseImages(images, tuple(PROMPTS[i % 3] for i in range(136)), findings)


def test_autoencoder_training_resumes_bit_for_bit(data: BaseImages, tmp_path: Path) -> None:
    straight = train_autoencoder(data, tmp_path / "a", steps=2, progress=Silent())
    with pytest.raises(Stopped):
        train_autoencoder(data, tmp_path / "b", steps=2, progress=Stopping(), save_every=1)
    resumed = train_autoencoder(data, tmp_path / "b", steps=2, progress=Silent())
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_denoiser_training_resumes_bit_for_bit(data: BaseImages, tmp_path: Path) -> None:
    tokenizer = new_tokenizer(PROMPTS * 2, tmp_path / "tokenizer")
    moments = (torch.randn(136, 4, 16, 16), torch.full((136, 4, 16, 16), 0.1))

    def run(work: Path, progress: Progress) -> torch.nn.ModuleDict:
        encoder = new_text_encoder(tokenizer)
        return train_denoiser(
            data,
            moments,
            tokenizer,
            encoder,
            work,
            steps=2,
            progress=progress,
            batch=2,
            save_every=1,
        ).ema

    straight = run(tmp_path / "a", Silent())
    with pytest.raises(Stopped):
        run(tmp_path / "b", Stopping())
    resumed = run(tmp_path / "b", Silent())
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


class Stopped(Exception):
    """Stands for a kill right after a checkpoint."""


class Stopping(Silent):
    def update(self, done: int, total: int, text: str = "") -> None:
        raise Stopped


def test_order_balances_half_of_each_batch(data: BaseImages) -> None:
    pools = _pools(data)
    drawn = np.concatenate([_order(pools, 136, step, 32) for step in range(200)])
    share = np.mean([bool(data.findings[i]) for i in drawn])
    assert share == pytest.approx(0.5 * 2 / 3 + 0.5, abs=0.02)
    assert np.array_equal(_order(pools, 136, 7, 32), _order(pools, 136, 7, 32))


def test_shipped_base_is_small_and_opens_with_plain_diffusers() -> None:
    folder = resolve_weights("builtin:tiny")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 12_000_000
    assert not [path for path in files if path.suffix in {".bin", ".pt", ".pkl", ".ckpt"}]
    pipeline = StableDiffusionPipeline.from_pretrained(folder).to(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    image = pipeline(
        "Severe cardiomegaly.",
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(0),
    ).images[0]
    assert image.size == (128, 128)
    assert image.mode == "L"


def test_shipped_autoencoder_reaches_32_db_on_unseen_phantoms() -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(resolve_weights("builtin:tiny"))
    pipeline.to(torch.float32)
    studies = [draw_patient(424_242, index).studies[0] for index in range(24)]
    images = np.stack([grey_to_u8(fit_square(render(study, 256), 128)) for study in studies])
    assert psnr(pipeline.vae, images) >= 32.0


def test_the_unseen_finding_is_in_the_vocabulary_all_the_same() -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(resolve_weights("builtin:tiny"))
    pipeline.to(torch.float32)
    for name in UNSEEN:
        assert pipeline.tokenizer.tokenize(name) == [f"{name}</w>"]
