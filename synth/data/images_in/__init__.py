"""Pictures from anywhere: prepared datasets, folders, DICOM, WebDataset tars, each read when asked.

``find_pictures`` lists them, ``Picture.grey`` decodes one to float levels in [0, 1] without
squashing, clipping or rounding, and ``Picture.sha256`` names its content.
"""

from synth.data.images_in.find import dataset_pictures, find_pictures, is_tar
from synth.data.images_in.levels import DECLARED_BY_FILES, Reading
from synth.data.images_in.picture import Picture

__all__ = [
    "DECLARED_BY_FILES",
    "Picture",
    "Reading",
    "dataset_pictures",
    "find_pictures",
    "is_tar",
]
