"""``synth doctor``: what this machine and installation can really do."""

from __future__ import annotations

import os
import platform
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from synth.cli.app import Json, Traceback, app, session
from synth.cli.tables import table
from synth.cores import usable_cores

if TYPE_CHECKING:
    from rich.console import RenderableType

EXTRAS = {  # extra: (module, what it brings)
    "xformers": ("xformers", "the xformers attention kernel (CUDA)"),
    "adam8bit": ("bitsandbytes", "AdamW with 8-bit moments (CUDA)"),
    "tensorboard": ("tensorboard", "curves and previews of a training run in TensorBoard"),
    "export": ("highdicom", "DICOM and Parquet exports"),
    "jpeg-lossless": ("libjpeg", "JPEG and JPEG Lossless DICOM beyond 8 bits"),
    "onnx": ("onnxruntime", "ONNX files as feature extractors"),
    "timm": ("timm", "timm models as feature extractors"),
    "open-clip": ("open_clip", "BiomedCLIP and other open_clip feature extractors"),
    "xrv": ("torchxrayvision", "the TorchXRayVision feature extractor"),
    "inception": ("torch_fidelity", "the Inception feature extractor, for FID"),
    "dev": ("pytest", "the test suite, linter and type checker"),
}
INSTALL = 'pip install "medical-image-synthesis[{}]"'


@app.command(epilog="Example: synth doctor --json")
def doctor(as_json: Json = False, show_traceback: Traceback = False) -> None:
    """Show versions, devices, DICOM decoders and the attention kernels that really work."""
    with session(as_json=as_json, show_traceback=show_traceback) as terminal:
        from synth.provenance import versions

        found: dict[str, Any] = {
            "versions": versions(),
            "system": _system(),
            "devices": _devices(),
            "attention": _attention(),
            "decoders": _decoders(),
            "extras": _extras(),
        }
        terminal.answer(found, _shown(found))


def _system() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "python": sys.executable,
        "cores": usable_cores(),
        "memory_gib": _memory_gib(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
    }


def _memory_gib() -> float | None:
    names = getattr(os, "sysconf_names", {})  # Windows has none
    if not {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= set(names):
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _devices() -> list[dict[str, Any]]:
    import torch

    found: list[dict[str, Any]] = [{"name": "cpu", "detail": f"threads: {torch.get_num_threads()}"}]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / 2**30
        found.append({"name": f"cuda:{index}", "detail": f"{properties.name}, {memory:.0f} GiB"})
    if torch.backends.mps.is_available():
        found.append({"name": "mps", "detail": "Apple GPU"})
    return found


def _attention() -> list[dict[str, str]]:
    from synth.families.attention import kernel_states

    return [
        {"name": name, "state": state, "reason": reason} for name, state, reason in kernel_states()
    ]


def _decoders() -> list[dict[str, Any]]:
    """One row a DICOM transfer syntax, each tried with a test image where one can be made."""
    from synth.dicom.decoders import decoder_table

    return [
        {
            "uid": item.uid,
            "name": item.name,
            "works": item.state in ("works", "installed"),
            "state": item.state,
            "plugins": item.plugins,
            "install": item.install,
            "note": item.note,
        }
        for item in decoder_table()
    ]


def _extras() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "installed": find_spec(module) is not None,
            "brings": brings,
            "install": INSTALL.format(name),
        }
        for name, (module, brings) in EXTRAS.items()
    ]


def _shown(found: dict[str, Any]) -> list[RenderableType]:
    system = found["system"]
    machine = [
        ("platform", system["platform"]),
        ("python", system["python"]),
        ("cores", str(system["cores"])),
        ("memory", f"{system['memory_gib']} GiB" if system["memory_gib"] else "–"),
    ]
    machine += [(item["name"], item["detail"]) for item in found["devices"]]
    decoders = [_decoder_row(item) for item in found["decoders"]]
    kernels = [(item["name"], item["state"], item["reason"]) for item in found["attention"]]
    extras = [
        (item["name"], "installed" if item["installed"] else "missing", item["brings"])
        for item in found["extras"]
    ]
    return [
        table("Versions", ("package", "version"), list(found["versions"].items()), words=True),
        table("Machine", ("", ""), machine, words=True),
        table("Attention kernels", ("kernel", "state", "reason"), kernels, words=True),
        table(
            "DICOM transfer syntaxes",
            ("syntax", "here", "decoders", "to install"),
            decoders,
            words=True,
        ),
        table("Optional extras", ("extra", "state", "brings"), extras, words=True),
        f"install an extra: {INSTALL.format('NAME')}",
    ]


def _decoder_row(item: dict[str, Any]) -> tuple[str, str, str, str]:
    plugins = ", ".join(f"{name} {version}" for name, version in item["plugins"].items())
    state = f"{item['state']} ({item['note']})" if item["note"] else item["state"]
    return item["name"], state, plugins, item["install"]
