"""A small report: datasets, a run, the scores of every part, and a reader of the page."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from synth.images import save_png
from synth.manifest import DatasetInfo, SyntheticRow, append_jsonl, open_dataset, write_json

VOID = {"meta", "img", "br", "hr", "link", "input"}
ATTACK = "<script>alert('x')</script> hernia & nodule"


class Outline(HTMLParser):
    """Checks that tags nest, and collects what a browser would fetch, run or jump to."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            elif name in ("href", "xlink:href"):
                self.links.append(value)
            elif name == "src":
                self.images.append(value)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def outline(path: Path) -> Outline:
    found = Outline()
    found.feed(path.read_text("utf-8"))
    found.close()
    assert found.open == []
    return found


def record(value: float | None, **more: Any) -> dict[str, Any]:
    base = {"value": value, "se": None, "ci": None, "n_real": 10, "n_synthetic": 14, "note": ""}
    return base | {"higher_is_better": True, "meaning": "what it says", "floor": None} | more


def fidelity(hernia: float, nodule: float) -> dict[str, Any]:
    def finding(auroc: float) -> dict[str, Any]:
        real = {"real_auroc": 0.97, "real_ci": [0.9, 0.99]}
        return {"auroc": auroc, "ci": [auroc - 0.1, 1.0], "n_positive": 5, "n_negative": 9} | real

    macro = {"auroc": (hernia + nodule) / 2, "ci": [0.8, 1.0], "findings": ["hernia", "nodule"]}
    return {
        "macro": macro | {"real_auroc": 0.98, "real_ci": None},
        "findings": {"hernia": finding(hernia), "nodule": finding(nodule)},
    }


def arm(auroc: float, delta: float) -> dict[str, Any]:
    found = {"auroc": auroc, "ci": None, "n_positive": 3, "n_negative": 4, "delta": delta}
    return {"macro_auroc": auroc, "ci": [0.7, 0.9], "n_train": 14, "delta": delta} | {
        "delta_ci": [delta - 0.01, delta + 0.01],
        "findings": {"hernia": found | {"delta_ci": None}},
    }


def group(kd: float, p_holm: float, n_real: int, n_synthetic: int) -> dict[str, Any]:
    """A finding or subgroup of ``scores.json``."""
    floor = {"value": 0.012, "n": 6, "synthetic_at_same_n": None}
    nearest = record(0.5, details={"chance": 0.25, "real": 0.75})
    return {
        "kd": record(kd, ci=[kd - 0.02, kd + 0.02], floor=floor),
        "nearest_share": nearest,
        "n_real": n_real,
        "patients_real": n_real,
        "n_synthetic": n_synthetic,
        "p": p_holm / 2,
        "p_holm": p_holm,
        "withheld": {"precision, recall, coverage": "fewer than 20 images a side"},
    }


def aligned(value: float, real: float) -> dict[str, Any]:
    """A score of images against texts, beside that of real pairs."""
    details = {"chance": 0.5, "real_ci": [real - 0.05, real + 0.05], "difference": value - real}
    details |= {"difference_ci": [value - real - 0.07, value - real + 0.07], "p": 0.04}
    floor = {"value": real, "n": 10, "synthetic_at_same_n": None}
    return record(value, ci=[value - 0.05, value + 0.05], floor=floor, details=details)


def failure(reason: str, row: int, score: float, limit: float, **more: Any) -> dict[str, Any]:
    """A failure of ``scores.json``."""
    role = {"far": "real", "copy": "train", "repeat": "synthetic"}.get(reason)
    beyond = score > limit if reason in ("present", "far") else score < limit
    base = {"synthetic": f"images/00000/syn-{row:06d}.png", "synthetic_id": f"syn-{row:06d}"}
    base |= {"reason": reason, "score": score, "limit": limit, "beyond": beyond}
    return base | {"finding": None, "other": None, "other_id": None, "other_set": role} | more


def page_scores() -> dict[str, Any]:
    """Scores in which every part of the page has something to show."""
    floor = {"value": 20.5, "n": 5, "synthetic_at_same_n": 23.75}
    return {
        "schema_version": 1,
        "metrics": {
            "fd_classifier": record(22.31, ci=[18.2, 27.9], floor=floor, higher_is_better=False),
            "precision": record(0.875),
            "c2st": record(0.61, ci=[0.55, 0.67], details={"p": 0.005, "permutations": 199}),
            "vendi": record(7.25, details={"real": 9.5, "ratio": 0.763, "q": 1.0}),
        },
        "per_finding": {
            "hernia": group(0.31, 0.002, 12, 30),
            "nodule": group(0.04, 0.6, 25, 41),
        },
        "per_subgroup": {"sex": {"F": group(0.05, 0.4, 60, 70), "M": group(0.22, 0.01, 50, 60)}},
        "subgroup_gaps": {
            "sex": {"worst": "M", "best": "F", "value": 0.17, "ci": [0.03, 0.31], "p": 0.02}
        },
        "label_fidelity": fidelity(0.94, 0.9),
        "label_fidelity_before": fidelity(0.52, 0.88),
        "alignment": {
            "cosine": aligned(0.31, 0.34),
            "matched_auc": aligned(0.62, 0.71),
            "negation": {
                "macro": aligned(0.55, 0.58),
                "truncated": 0,
                "findings": {
                    "hernia": {"auroc": aligned(0.81, 0.84), "n_positive": 14, "n_negative": 20}
                    | {"p": 0.001, "p_holm": 0.002},
                    "nodule": {"auroc": aligned(0.41, 0.47), "n_positive": 12, "n_negative": 30}
                    | {"p": 0.2, "p_holm": 0.2},
                },
            },
            "texts": {
                "id": "hf-clip-text@77",
                "limit": 77,
                "synthetic": {"pairs": 14, "truncated": 3},
                "real": None,
            },
        },
        "memorization": {
            "auc": record(0.53, ci=[0.47, 0.59]),
            "share_closer": record(0.01),
            "nn_auc": record(0.49),
            "by_finding": {
                "nodule": {"n_synthetic": 9, "patients": 8, "withheld": "fewer than 10 of either"},
                "hernia": {"share": 0.4, "expected": 0.05, "limit": 1.5, "p": 0.001}
                | {"p_holm": 0.001, "n_synthetic": 20, "patients": 12},
            },
            "histogram": {
                "edges": [0.0, 1.0, 2.0, 3.0, 4.0],
                "synthetic": [0, 2, 8, 4],
                "held_out": [0, 1, 5, 4],
                "limit": 1.78,
            },
            "quantiles": {
                "0%": {"synthetic": 1.25, "held_out": 1.75},
                "50%": {"synthetic": 3.5, "held_out": 3.25},
            },
            "pairs": [
                {
                    "synthetic": "images/00000/syn-000000.png",
                    "synthetic_id": "syn-000000",
                    "real": "images/000/tiny-000.png",
                    "real_id": "tiny-000",
                    "distance": 1.25,
                }
            ],
        },
        "utility": {
            "steps": 200,
            "n_test": 6,
            "n_test_patients": 3,
            "curve": [
                {"alpha": 0.0, "arm": "real"},
                {"alpha": 0.5, "arm": "real+0.5x synthetic"},
                {"alpha": 1.0, "arm": "real+synthetic"},
            ],
            "arms": {
                "real": arm(0.8, 0.0),
                "real+synthetic": arm(0.85, 0.05),
                "real+0.5x synthetic": arm(0.83, 0.03),
                "synthetic": arm(0.7, -0.1),
            },
        },
        "reconstruction": {"psnr": record(33.4)},
        "failures": [
            failure("absent", 3, 0.04, 0.31, finding="hernia"),
            failure("far", 4, 1.5, 2.5, other="images/000/tiny-000.png"),
            failure("repeat", 5, 0.0, 0.9, other="images/00000/syn-000006.png"),
        ],
        "not_computed": [
            {"what": "fd_inception", "why": "its weights are not here"},
            {
                "what": "per-finding",
                "why": "fewer than 10 images a side: cardiomegaly (4 real, 9 synthetic)",
            },
        ],
        "warnings": ["only 14 synthetic images"],
        "protocol": {
            "fingerprint": "0123456789abcdef",
            "ingest": {"size": 32, "square": "padded"},
            "records": {"precision": {"n_real": 10}},
        },
        "provenance": {"judge": {"id": "judge-1"}, "versions": {"numpy": "9.9.9"}},
    }


def write_synthetic(folder: Path, real: Path, *, level: int, phantom: bool = True) -> Path:
    rows = []
    for index, source in enumerate(open_dataset(real).split("train")):
        name = f"images/00000/syn-{index:06d}.png"
        image = np.full((32, 32), level + index, dtype=np.uint8)
        save_png(folder / name, image)
        text = ATTACK if index == 0 else source.text_used
        rows.append(
            SyntheticRow.model_validate(
                source.model_dump()
                | {"file_name": name, "sample_id": f"syn-{index:06d}", "synthetic": True}
                | {"text": text, "text_used": text, "source_sample_id": source.sample_id}
                | {"seed": index, "prompt_hash": "p", "weights_sha256": "w", "config_sha256": "c"}
                | {"solver": "dpm++2m", "steps": 20, "guidance": 2.0, "patient_id": None}
            )
        )
    append_jsonl(folder / "metadata.jsonl", rows)
    counts = {"finding": "hernia", "real": 3, "planned": 21, "total": 24}
    extra = {"plan": {"kind": "balance", "target": 24, "findings": [counts], "notes": []}}
    info = {"name": "made", "synthetic": True, "phantom": phantom, "size": 32}
    write_json(folder / "dataset.json", DatasetInfo.model_validate(info | extra))
    return folder


def write_run(folder: Path) -> Path:
    rows: list[dict[str, Any]] = [{"kind": "validation", "images_seen": 0, "loss": 0.5}]
    rows += [{"kind": "step", "images_seen": 4 * n, "loss": 1 / n} for n in range(1, 41)]
    rows += [{"kind": "resume", "images_seen": 80}]
    rows += [{"kind": "validation", "images_seen": 160, "loss": 0.4, "loss_ema": 0.25}]
    append_jsonl(folder / "log.jsonl", rows)
    (folder / "config.yaml").write_text("run: {seed: 7}\nmodel: {weights: 'builtin:tiny'}\n")
    for seen in (0, 80, 160):
        save_png(folder / "previews" / f"{seen}.png", np.full((34, 68), seen, dtype=np.uint8))
    write_json(folder / "run.json", {"images_seen": 160, "seconds": 75.0, "device": "cpu"})
    return folder
