"""pytorch-fid 0.3.0: plug-in FID of float64 activations.

The tool takes a matrix square root, which recent SciPy no longer offers in the form it calls. The
trace of that root is the sum of root eigenvalues, equal to it up to rounding.
"""

from __future__ import annotations

from metrics.arrays import Floats
from metrics.compat.torch_fidelity import eigenvalue_fid

DEFECTS = (
    "FID is biased upwards by O(1/n); its statistics files do not say n",
    "fails on SciPy 1.18, whose sqrtm has no disp argument",
    "images of 16 bit are clipped to white when read",
)


def printed(real: Floats, synthetic: Floats) -> dict[str, float]:
    """The one number it prints."""
    return {"FID": eigenvalue_fid(real, synthetic)}
