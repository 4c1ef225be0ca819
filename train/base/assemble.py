"""Put the trained parts together as a plain diffusers pipeline folder, half precision."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
from transformers import CLIPTokenizer

from synth.manifest import write_bytes
from train.base.denoiser import SCHEDULE, Denoiser

_CARD = """# builtin:tiny

A tiny report-conditioned latent diffusion model of phantom chest radiographs: 128 pixels, one grey
channel. Trained on computed phantoms alone by `python -m train.base WORK`; it has never seen an
image of a person, nor the picture of a hiatal hernia, and no prompt it was trained on names one.
For demonstrations and tests; not for any clinical use.

It is an ordinary diffusers pipeline: `StableDiffusionPipeline.from_pretrained(folder)`.
"""


def assemble(out: Path, vae: AutoencoderKL, denoiser: Denoiser, tokenizer: CLIPTokenizer) -> None:
    """Write ``out`` in fp16 safetensors; the modules given stay in full precision."""
    scheduler = DDIMScheduler(
        **SCHEDULE,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    pipeline = StableDiffusionPipeline(
        vae=deepcopy(vae),
        text_encoder=deepcopy(denoiser.text_encoder),
        tokenizer=tokenizer,
        unet=deepcopy(denoiser.unet),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(dtype=torch.float16).save_pretrained(out, safe_serialization=True)
    write_bytes(out / "README.md", _CARD.encode())
