"""A random Sana pipeline: 32-pixel images, latents [4, 8, 8]."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderDC,
    DPMSolverMultistepScheduler,
    SanaPipeline,
    SanaTransformer2DModel,
)
from transformers import Gemma2Config, Gemma2Model


def build(folder: Path, tokenizer: Any) -> None:
    """Write the pipeline; Gemma borrows the CLIP tokenizer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipeline = SanaPipeline(
            vae=_autoencoder(),
            text_encoder=Gemma2Model(
                Gemma2Config(
                    vocab_size=len(tokenizer),
                    hidden_size=16,
                    intermediate_size=32,
                    head_dim=8,
                    num_attention_heads=2,
                    num_key_value_heads=2,
                    num_hidden_layers=2,
                    max_position_embeddings=512,
                    pad_token_id=len(tokenizer) - 1,
                    bos_token_id=len(tokenizer) - 2,
                    eos_token_id=len(tokenizer) - 1,
                )
            ).eval(),
            tokenizer=tokenizer,
            transformer=SanaTransformer2DModel(
                in_channels=4,
                out_channels=4,
                num_layers=2,
                num_attention_heads=2,
                attention_head_dim=8,
                num_cross_attention_heads=2,
                cross_attention_head_dim=8,
                cross_attention_dim=16,
                caption_channels=16,
                sample_size=8,
                patch_size=1,
            ),
            scheduler=DPMSolverMultistepScheduler(
                prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
            ),
        )
    pipeline.save_pretrained(folder, safe_serialization=True)


def _autoencoder() -> torch.nn.Module:
    model = AutoencoderDC(
        in_channels=3,
        latent_channels=4,
        attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        encoder_qkv_multiscales=((), (5,), (5,)),
        decoder_qkv_multiscales=((), (5,), (5,)),
        encoder_layers_per_block=(1, 1, 1),
        decoder_layers_per_block=(1, 1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_norm_types="rms_norm",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    )
    return model.eval()
