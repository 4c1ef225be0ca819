"""The 14 observations of CheXpert's labeller, which four public archives use as their columns."""

from __future__ import annotations

from collections.abc import Mapping

OBSERVATIONS: Mapping[str, str] = {
    "No Finding": "no_finding",
    "Enlarged Cardiomediastinum": "enlarged_cardiomediastinum",
    "Cardiomegaly": "cardiomegaly",
    "Lung Opacity": "lung_opacity",
    "Airspace Opacity": "lung_opacity",  # its name in MIMIC-CXR's hand-labelled test set
    "Lung Lesion": "lung_lesion",
    "Edema": "edema",
    "Consolidation": "consolidation",
    "Pneumonia": "pneumonia",
    "Atelectasis": "atelectasis",
    "Pneumothorax": "pneumothorax",
    "Pleural Effusion": "pleural_effusion",
    "Pleural Other": "pleural_other",
    "Fracture": "fracture",
    "Support Devices": "support_devices",
}


def stated(row: Mapping[str, str]) -> dict[str, str]:
    """The observations a row states, as written; a blank cell means not mentioned."""
    return {
        name: row[column]
        for column, name in OBSERVATIONS.items()
        if row.get(column, "").strip().lower() not in ("", "nan")
    }
