"""Shared fixtures: one thread, no network, a tiny random pipeline and a tiny prepared dataset.

Both folders are made once a session and must not be changed: a test that writes copies them first.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path

os.environ.update(
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    HF_DATASETS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two threads on a busy machine are far slower
os.environ.setdefault("MKL_NUM_THREADS", "1")

import numpy as np
import pytest
import torch

from synth.images import save_png
from synth.manifest import (
    DatasetInfo,
    Label,
    Row,
    SourceTerms,
    Split,
    append_jsonl,
    write_json,
    write_sha256sums,
)
from synth.seeding import numpy_rng, seed_from

torch.set_num_threads(1)

_KEY = tempfile.NamedTemporaryFile(prefix="synth-tests-", suffix=".key")  # noqa: SIM115
_KEY.write(b"the key of the pseudonyms in tests")
_KEY.flush()
os.environ["SYNTH_KEY_FILE"] = _KEY.name  # so that no test makes a key in the user's home
os.environ.pop("SYNTH_SECRET", None)

SOURCE = SourceTerms(
    name="tests",
    title="The Test Collection",
    licence="CC-BY-NC-4.0",
    terms=["not for sale"],
    citation="Doe et al. 2020",
    url="https://example.org/tests",
    redistribution=True,
    commercial=False,
)
FINDINGS = ("cardiomegaly", "hernia", "nodule")
WORDS = (
    *("chest", "radiograph", "frontal", "no", "acute", "finding", "there", "is", "a", "and", "the"),
    *("small", "large", "left", "right", "mild", "severe", "possible", "lung", "base", "apex"),
    *("cardiomegaly", "hernia", "nodule", "pleural", "effusion", "edema", "consolidation"),
)


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Stable Diffusion pipeline folder: 32-pixel RGB images, latents [4, 16, 16]."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline

    folder = tmp_path_factory.mktemp("tiny-pipeline") / "pipeline"
    tokenizer = _tokenizer(folder.parent / "tokenizer")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipeline = StableDiffusionPipeline(
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
            ),
            unet=_denoiser(),
            text_encoder=_text_encoder(len(tokenizer)),
            tokenizer=tokenizer,
            scheduler=DDIMScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                clip_sample=False,
                set_alpha_to_one=False,
                steps_offset=1,
                prediction_type="epsilon",
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def _denoiser() -> torch.nn.Module:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=32,
        attention_head_dim=8,
    )


def _text_encoder(vocabulary: int) -> torch.nn.Module:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    return CLIPTextModel(config).eval()


def _tokenizer(folder: Path):
    """A byte-level CLIP tokenizer that knows ``WORDS`` whole and spells out the rest."""
    from transformers import CLIPTokenizer

    letters = _byte_letters()
    merges: list[str] = []
    for word in WORDS:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            merges.append(f"{parts[0]} {parts[1]}")
            parts[:2] = [parts[0] + parts[1]]
    merges = list(dict.fromkeys(merges))
    tokens = [*letters, *(letter + "</w>" for letter in letters)]
    tokens += [merge.replace(" ", "") for merge in merges]
    tokens = [*dict.fromkeys(tokens), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir()
    vocabulary = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", "utf-8")
    names = (str(folder / "vocab.json"), str(folder / "merges.txt"))
    return CLIPTokenizer(*names, model_max_length=77)


def _byte_letters() -> list[str]:
    """GPT-2's printable stand-in for each of the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(len(others))]


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid prepared dataset: 24 images of 32×32, 12 patients, 3 findings, 14/4/6 by split.

    A finding is visible in its image: cardiomegaly widens a central block, a hernia is a bright
    square at the bottom and a nodule a bright dot on the left. Labels hold 1, 0, -1 and None.
    """
    folder = tmp_path_factory.mktemp("tiny-dataset") / "dataset"
    rows = [_row(folder, index) for index in range(24)]
    append_jsonl(folder / "metadata.jsonl", rows)
    counts = {split: sum(row.split == split for row in rows) for split in ("train", "val", "test")}
    info = DatasetInfo(
        name="tiny",
        size=32,
        counts={"images": 24, "patients": 12, **counts},
        findings=list(FINDINGS),
        terms=["made by the tests"],
        sources=[SOURCE],
    )
    write_json(folder / "dataset.json", info)
    write_sha256sums(folder)
    return folder


def _row(folder: Path, index: int) -> Row:
    patient = index // 2
    split: Split = "train" if patient < 7 else "val" if patient < 9 else "test"
    labels = _labels(index)
    sample_id = f"tiny-{index:03d}"
    name = f"images/000/{sample_id}.png"
    content = save_png(folder / name, _image(index, labels))
    text = "chest radiograph " + _sentence(labels)
    return Row(
        file_name=name,
        sample_id=sample_id,
        split=split,
        patient_id=f"p{patient:02d}",
        study_id=f"s{index:03d}",
        view="PA" if index % 3 else "AP",
        sex="F" if patient % 2 else "M",
        age_band=("40-59", "60-79")[patient % 2],
        text=text,
        text_used=text,
        labels=labels,
        label_source="rules",
        source="tests",
        sha256=hashlib.sha256(content).hexdigest(),
        width=32,
        height=32,
    )


def _labels(index: int) -> dict[str, Label]:
    labels: dict[str, Label] = {
        "cardiomegaly": 1 if index % 2 else 0,
        "hernia": 1 if index % 5 == 0 else 0,
        "nodule": 1 if index % 3 == 0 else 0,
    }
    if index % 8 == 1:
        labels["hernia"] = -1
    if index % 8 == 2:
        labels["nodule"] = None
    return labels


def _sentence(labels: dict[str, Label]) -> str:
    present = [name for name, value in labels.items() if value == 1]
    possible = [f"possible {name}" for name, value in labels.items() if value == -1]
    return " and ".join([*present, *possible]) or "no acute finding"


def _image(index: int, labels: dict[str, Label]) -> np.ndarray:
    rng = numpy_rng("tiny-dataset", seed_from(index))
    image = rng.integers(30, 60, (32, 32)).astype(np.uint8)
    half = 8 if labels["cardiomegaly"] == 1 else 4
    image[10:22, 16 - half : 16 + half] = 140
    if labels["hernia"] == 1:
        image[26:32, 12:20] = 220
    if labels["nodule"] == 1:
        image[6:10, 4:8] = 240
    return image
