"""PadChest's 194 label strings -> findings, by the whole term, never by a part of it.

"pseudonodule" is no nodule, "callus rib fracture" no fracture, "subcutaneous emphysema" no
emphysema and "pericardial effusion" no pleural effusion. A term either names findings (``NAMES``)
or leaves findings open that it hints at (``OPENS``): these are then neither 1 nor 0. Terms in
neither table say nothing about the findings carried here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NORMAL = "normal"
EXCLUDED = "exclude"  # the report says nothing of the image
AS_BEFORE = "unchanged"  # what was there before is still there, and not listed
SILENT = frozenset(("", EXCLUDED, AS_BEFORE, "suboptimal study"))

_TERMS: Mapping[str, tuple[str, ...]] = {
    "aortic_calcification": ("aortic atheromatosis",),
    "aortic_elongation": (
        "aortic elongation",
        "ascendent aortic elongation",
        "descendent aortic elongation",
        "supra aortic elongation",
    ),
    "aortic_enlargement": ("aortic aneurysm", "aortic button enlargement"),
    "atelectasis": (
        "atelectasis",
        "atelectasis basal",
        "laminar atelectasis",
        "lobar atelectasis",
        "round atelectasis",
        "segmental atelectasis",
        "total atelectasis",
    ),
    "bronchiectasis": ("bronchiectasis",),
    "calcified_granuloma": ("calcified granuloma",),
    "cardiomegaly": ("cardiomegaly",),
    "cavity": ("cavitation",),
    "consolidation": ("consolidation",),
    "copd": ("COPD signs",),
    "costophrenic_blunting": ("costophrenic angle blunting",),
    "degenerative_spine": ("vertebral degenerative changes",),
    "edema": ("pulmonary edema",),
    "emphysema": ("emphysema",),
    "enlarged_cardiomediastinum": ("mediastinal enlargement", "superior mediastinal enlargement"),
    "enlarged_pulmonary_artery": ("pulmonary artery enlargement",),
    "fibrosis": ("pulmonary fibrosis",),
    "fracture": (
        "clavicle fracture",
        "fracture",
        "humeral fracture",
        "rib fracture",
        "vertebral fracture",
    ),
    "granuloma": ("granuloma",),
    "heart_failure": ("heart insufficiency",),
    "hemidiaphragm_elevation": ("hemidiaphragm elevation",),
    "hernia": ("hiatal hernia",),
    "hilar_enlargement": ("hilar enlargement", "vascular hilar enlargement"),
    "hyperinflation": ("air trapping", "hyperinflated lung"),
    "hypoinflation": ("hypoexpansion", "hypoexpansion basal"),
    "infiltration": ("infiltrates",),
    "interstitial_pattern": (
        "interstitial pattern",
        "reticular interstitial pattern",
        "reticulonodular interstitial pattern",
    ),
    "kyphosis": ("kyphosis",),
    "lung_lesion": ("mass", "multiple nodules", "nodule", "pulmonary mass"),
    "lung_opacity": (
        "alveolar pattern",
        "consolidation",
        "ground glass pattern",
        "increased density",
        "infiltrates",
    ),
    "lymphadenopathy": ("adenopathy", "calcified adenopathy", "calcified mediastinal adenopathy"),
    "mass": ("mass", "pulmonary mass"),
    "mediastinal_shift": ("mediastinal shift",),
    "nodule": ("multiple nodules", "nodule"),
    "osteopenia": ("osteopenia",),
    "pacemaker": ("dai", "dual chamber device", "pacemaker", "single chamber device"),
    "pericardial_effusion": ("pericardial effusion",),
    "pleural_effusion": (
        "hydropneumothorax",
        "loculated fissural effusion",
        "loculated pleural effusion",
        "pleural effusion",
    ),
    "pleural_thickening": (
        "apical pleural thickening",
        "calcified pleural plaques",
        "calcified pleural thickening",
        "pleural plaques",
        "pleural thickening",
    ),
    "pneumomediastinum": ("pneumomediastinum",),
    "pneumonia": ("atypical pneumonia", "pneumonia"),
    "pneumoperitoneum": ("pneumoperitoneo",),
    "pneumothorax": ("hydropneumothorax", "pneumothorax"),
    "pulmonary_congestion": ("hilar congestion",),
    "scoliosis": ("scoliosis",),
    "sternotomy": ("sternotomy",),
    "subcutaneous_emphysema": ("subcutaneous emphysema",),
    "support_devices": (
        "NSG tube",
        "catheter",
        "central venous catheter",
        "central venous catheter via jugular vein",
        "central venous catheter via subclavian vein",
        "central venous catheter via umbilical vein",
        "chest drain tube",
        "electrical device",
        "endotracheal tube",
        "gastrostomy tube",
        "reservoir central venous catheter",
        "tracheostomy tube",
        "ventriculoperitoneal drain tube",
    ),
    "tuberculosis": ("tuberculosis",),
    "vertebral_compression": ("vertebral anterior compression", "vertebral compression"),
    "volume_loss": ("volume loss",),
}

_OPENS: Mapping[str, tuple[str, ...]] = {
    "aortic_enlargement": _TERMS["aortic_elongation"],
    "atelectasis": ("hypoexpansion", "hypoexpansion basal", "volume loss"),
    "calcified_granuloma": ("calcified densities", "granuloma"),
    "cavity": ("abscess", "air fluid level"),
    "consolidation": ("air bronchogram", "alveolar pattern", "atypical pneumonia", "pneumonia"),
    "copd": ("air trapping", "emphysema", "flattened diaphragm", "hyperinflated lung"),
    "edema": (
        "central vascular redistribution",
        "heart insufficiency",
        "hilar congestion",
        "kerley lines",
        "pulmonary venous hypertension",
        "vascular redistribution",
    ),
    "emphysema": ("COPD signs", "air trapping", "bullas", "hyperinflated lung"),
    "enlarged_cardiomediastinum": (
        "aortic aneurysm",
        "cardiomegaly",
        "goiter",
        "mediastinal mass",
        "mediastinic lipomatosis",
    ),
    "enlarged_pulmonary_artery": (
        "pulmonary artery hypertension",
        "pulmonary hypertension",
        "vascular hilar enlargement",
    ),
    "fibrosis": (
        "asbestosis signs",
        "chronic changes",
        "fibrotic band",
        "post radiotherapy changes",
        "tuberculosis sequelae",
    ),
    "fracture": ("callus rib fracture", "vertebral anterior compression", "vertebral compression"),
    "granuloma": ("calcified granuloma",),
    "heart_failure": ("pulmonary edema", "hilar congestion"),
    "hemidiaphragm_elevation": ("diaphragmatic eventration",),
    "hilar_enlargement": (*_TERMS["lymphadenopathy"], "hilar congestion"),
    "hyperinflation": ("COPD signs", "emphysema", "flattened diaphragm"),
    "infiltration": (
        "alveolar pattern",
        "consolidation",
        "ground glass pattern",
        "increased density",
        "interstitial pattern",
        "miliary opacities",
        "reticular interstitial pattern",
        "reticulonodular interstitial pattern",
    ),
    "interstitial_pattern": (
        "asbestosis signs",
        "bronchovascular markings",
        "ground glass pattern",
        "kerley lines",
        "lymphangitis carcinomatosa",
        "miliary opacities",
        "pulmonary fibrosis",
    ),
    "lung_lesion": (
        "cavitation",
        "granuloma",
        "lepidic adenocarcinoma",
        "lung metastasis",
        "miliary opacities",
    ),
    "lung_opacity": (
        *_TERMS["atelectasis"],
        *_TERMS["lung_lesion"],
        *_TERMS["pneumonia"],
        "air bronchogram",
        "miliary opacities",
        "pulmonary edema",
    ),
    "mass": (
        "breast mass",
        "lepidic adenocarcinoma",
        "lung metastasis",
        "mediastinal mass",
        "pleural mass",
        "soft tissue mass",
    ),
    "mediastinal_shift": ("azygoesophageal recess shift", "tracheal shift"),
    "nodule": ("calcified granuloma", "granuloma", "lung metastasis", "miliary opacities"),
    "osteopenia": ("osteoporosis",),
    "pacemaker": ("electrical device",),
    "pleural_effusion": ("costophrenic angle blunting", "empyema"),
    "pleural_thickening": (
        "asbestosis signs",
        "fissure thickening",
        "major fissure thickening",
        "minor fissure thickening",
    ),
    "pneumonia": ("abscess", "alveolar pattern", "consolidation", "infiltrates"),
    "pulmonary_congestion": (
        "central vascular redistribution",
        "heart insufficiency",
        "pulmonary edema",
        "pulmonary venous hypertension",
        "vascular redistribution",
    ),
    "sternotomy": ("surgery heart", "suture material"),
    "support_devices": (
        *_TERMS["pacemaker"],
        "abnormal foreign body",
        "aortic endoprosthesis",
        "double J stent",
        "endoprosthesis",
        "external foreign body",
        "metal",
        "nephrostomy tube",
        "osteosynthesis material",
        "prosthesis",
    ),
    "tuberculosis": ("cavitation", "miliary opacities", "tuberculosis sequelae"),
    "vertebral_compression": ("vertebral fracture",),
    "volume_loss": (*_TERMS["atelectasis"], *_TERMS["hypoinflation"]),
}

FINDINGS = tuple(_TERMS)


def _by_term(table: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    terms = {term for group in table.values() for term in group}
    return {term: frozenset(name for name in table if term in table[name]) for term in terms}


NAMES = _by_term(_TERMS)
OPENS = _by_term(_OPENS)


def read_terms(terms: Iterable[str]) -> dict[str, str]:
    """The labels that a list of terms states: every finding ``"1"``, ``"0"`` or open (``""``).

    >>> labels = read_terms(["pseudonodule", "callus rib fracture", "kyphosis"])
    >>> labels["nodule"], labels["fracture"], labels["kyphosis"], labels["no_finding"]
    ('0', '', '1', '0')
    """
    listed = {term.strip() for term in terms}
    if listed <= SILENT:
        return {}
    named = {name for term in listed for name in NAMES.get(term, ())}
    opened = {name for term in listed for name in OPENS.get(term, ())}
    abnormal = listed - SILENT - {NORMAL}
    healthy = not abnormal and EXCLUDED not in listed
    rest = "0" if healthy or not listed & {AS_BEFORE, EXCLUDED} else ""
    labels = {name: "1" if name in named else "" if name in opened else rest for name in FINDINGS}
    return labels | {"no_finding": "1" if healthy else "0" if abnormal else ""}
