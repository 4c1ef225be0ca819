"""One sentence that states a finding and one that denies it, alike in every other word.

What a model makes of the two says whether it reads "no": most pairs of image and text models do
not (Alhamoud et al. 2025, "Vision-Language Models Do Not Understand Negation").
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Findings whose name is not how one speaks of them.
_SPOKEN: Mapping[str, str] = MappingProxyType(
    {
        "copd": "COPD",
        "costophrenic_blunting": "blunting of the costophrenic angle",
        "degenerative_spine": "degenerative change of the spine",
        "enlarged_cardiomediastinum": "enlargement of the cardiomediastinum",
        "enlarged_pulmonary_artery": "enlargement of the pulmonary artery",
        "hemidiaphragm_elevation": "elevation of the hemidiaphragm",
        "pleural_other": "pleural lesion",
        "sternotomy": "sternotomy wire",
        "support_devices": "support device",
    }
)
# Things that can be counted: "a nodule", but "edema".
_COUNTED = frozenset(
    (
        *("calcification", "calcified_granuloma", "cavity", "cyst", "fracture", "granuloma"),
        *("hernia", "interstitial_pattern", "lung_lesion", "lung_opacity", "mass"),
        *("mediastinal_shift", "nodule", "pacemaker", "pericardial_effusion", "pleural_effusion"),
        *("pleural_other", "pneumothorax", "sternotomy", "support_devices"),
    )
)


def spoken(finding: str) -> str:
    """How one speaks of a finding: ``pleural effusion``; a name of the user's own with spaces."""
    return _SPOKEN.get(finding, finding.replace("_", " "))


def stating(finding: str) -> str:
    """The sentence that says that a finding is there.

    >>> stating("pleural_effusion"), stating("edema")
    ('There is a pleural effusion.', 'There is edema.')
    """
    words = spoken(finding)
    if finding not in _COUNTED:
        return f"There is {words}."
    return f"There is {'an' if words[0] in 'aeiou' else 'a'} {words}."


def denying(finding: str) -> str:
    """The sentence that says that it is not.

    >>> denying("pleural_effusion")
    'There is no pleural effusion.'
    """
    return f"There is no {spoken(finding)}."
