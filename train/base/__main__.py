"""``python -m train.base WORK [--out FOLDER]``: train and assemble ``builtin:tiny``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from synth.cli.terminal import Terminal
from train.base.assemble import assemble
from train.base.autoencoder import HELD_OUT, psnr, train_autoencoder
from train.base.denoiser import encode_all, train_denoiser
from train.base.images import base_images
from train.base.language import new_text_encoder, new_tokenizer
from train.base.vocabulary import vocabulary_texts


def main(
    work: Annotated[Path, typer.Argument(help="Folder for images, checkpoints and logs.")],
    out: Annotated[Path, typer.Option(help="Where the pipeline goes.")] = Path(
        "synth/families/builtin/tiny"
    ),
    patients: Annotated[int, typer.Option(help="Phantom patients to learn from.")] = 2600,
    autoencoder_steps: int = 2600,
    denoiser_steps: int = 5200,
    threads: Annotated[int, typer.Option(help="Torch threads; part of the result's bits.")] = 1,
    workers: int = 2,
) -> None:
    """Render phantoms, train the autoencoder and the denoiser, write a diffusers pipeline."""
    torch.set_num_threads(threads)
    progress = Terminal()
    progress.stage("Phantoms")
    data = base_images(work, patients=patients, size=128, workers=workers)
    progress.stage("Autoencoder")
    vae = train_autoencoder(data, work, steps=autoencoder_steps, progress=progress)
    progress.note(
        f"autoencoder PSNR on held-out phantoms: {psnr(vae, data.images[-HELD_OUT:]):.2f} dB"
    )
    progress.stage("Denoiser")
    tokenizer = new_tokenizer(vocabulary_texts(), work / "tokenizer")
    denoiser = train_denoiser(
        data,
        encode_all(vae, data, work),
        tokenizer,
        new_text_encoder(tokenizer),
        work,
        steps=denoiser_steps,
        progress=progress,
    )
    assemble(out, vae, denoiser, tokenizer)
    progress.note(f"wrote {out}")


if __name__ == "__main__":
    typer.run(main)
