"""What the numbers of fidelity and diversity say, in a clause each."""

from __future__ import annotations

MEANINGS = {
    "fd": "how far the two clouds of images lie apart, as Gaussians; 0 is identical",
    "kd": "how far they lie apart, without bias at any N; 0 is identical",
    "precision": "share of synthetic images that look like some real one",
    "recall": "share of real images that some synthetic one resembles",
    "density": "how deep synthetic images lie among real ones; about 1 is ideal",
    "coverage": "share of real images with a synthetic one close by",
}
