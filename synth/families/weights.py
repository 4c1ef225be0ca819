"""Where a base model's files lie, and the hash that stands for their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from synth.errors import SynthError
from synth.manifest import sha256_file

BUILTIN = Path(__file__).with_name("builtin")
INDEX = "model_index.json"


def resolve_weights(ref: str) -> Path:
    """Find a diffusers pipeline folder; nothing is downloaded.

    Args:
        ref: ``builtin:NAME`` for a model shipped with the package, a folder, or a hub id such as
            ``owner/name`` that is already in the local Hugging Face cache.

    Raises:
        SynthError: nothing is there, or what is there is not a pipeline.
    """
    if ref.startswith("builtin:"):
        return _builtin(ref.removeprefix("builtin:"))
    folder = Path(ref).expanduser()
    if folder.is_dir():
        return _pipeline(folder)
    if _looks_like_hub_id(ref):
        return _pipeline(_cached(ref))
    raise SynthError(
        "no such weights folder",
        where="model.weights",
        got=ref,
        expected="builtin:NAME, a diffusers pipeline folder, or a hub id in the local cache",
    )


def folder_sha256(folder: Path, parts: Iterable[str]) -> str:
    """Hash of the names and contents of all files of some sub-folders, by sorted name."""
    digest = hashlib.sha256()
    for part in parts:
        for path in sorted((folder / part).rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                name = path.relative_to(folder).as_posix()
                digest.update(f"{sha256_file(path)}  {name}\n".encode())
    return digest.hexdigest()


def _builtin(name: str) -> Path:
    folder = BUILTIN / name
    if folder.is_dir():
        return _pipeline(folder)
    shipped = sorted(path.name for path in BUILTIN.glob("*/") if (path / INDEX).is_file())
    raise SynthError(
        "no such built-in model",
        where="model.weights",
        got=f"builtin:{name}",
        expected=", ".join(f"builtin:{name}" for name in shipped) or "none is in this installation",
    )


def _pipeline(folder: Path) -> Path:
    if not (folder / INDEX).is_file():
        raise SynthError(
            f"not a diffusers pipeline: no {INDEX}",
            where=folder,
            fix="Save the model with DiffusionPipeline.save_pretrained and give that folder.",
        )
    return folder


def _looks_like_hub_id(ref: str) -> bool:
    owner, _, name = ref.partition("/")
    return bool(owner and name) and "/" not in name and not ref.startswith((".", "~"))


def _cached(ref: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(ref, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        raise SynthError(
            "neither a folder nor a model in the local Hugging Face cache",
            where="model.weights",
            got=ref,
            fix=f"Fetch it once with `hf download {ref}`, or give a folder.",
        ) from None
