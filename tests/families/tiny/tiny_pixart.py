"""A random PixArt-Σ pipeline: 32-pixel images, latents [4, 16, 16]."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
)
from transformers import T5Config, T5EncoderModel


def build(folder: Path, tokenizer: Any) -> None:
    """Write the pipeline; T5 borrows the CLIP tokenizer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipeline = PixArtSigmaPipeline(
            vae=AutoencoderKL(
                in_channels=3,
                out_channels=3,
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                block_out_channels=(8, 16),
                layers_per_block=1,
                norm_num_groups=4,
                latent_channels=4,
                sample_size=32,
                scaling_factor=0.13025,
            ),
            text_encoder=T5EncoderModel(
                T5Config(
                    vocab_size=len(tokenizer),
                    d_model=32,
                    d_kv=8,
                    d_ff=37,
                    num_layers=2,
                    num_heads=4,
                    pad_token_id=len(tokenizer) - 1,
                    eos_token_id=len(tokenizer) - 1,
                )
            ).eval(),
            tokenizer=tokenizer,
            transformer=_transformer(),
            scheduler=DPMSolverMultistepScheduler(
                beta_start=0.0001, beta_end=0.02, beta_schedule="linear"
            ),
        )
    pipeline.save_pretrained(folder, safe_serialization=True)


def _transformer() -> torch.nn.Module:
    model = PixArtTransformer2DModel(
        sample_size=16,
        num_layers=2,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_channels=32,
        in_channels=4,
        cross_attention_dim=32,
        out_channels=8,
        attention_bias=True,
        activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000,
        norm_type="ada_norm_single",
        norm_elementwise_affine=False,
        norm_eps=1e-6,
        use_additional_conditions=False,
    )
    return model.eval()
