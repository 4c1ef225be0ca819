"""Mean and covariance of features that merge exactly: over batches, shards and machines.

    n = na + nb        δ = mb - ma        m = ma + δ nb / n
    C = Ca + Cb + δ δᵀ na nb / n                              (Chan, Golub & LeVeque 1983, eq. 2.1)

Centred and in float64 throughout: sums of squares lose all digits where the mean is large beside
the spread. Files are the ``mu, sigma`` npz of other tools, with ``n`` beside them: without it a
statistic can be compared but neither merged nor corrected for its bias.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from metrics.arrays import Floats, Matrix, matrix
from metrics.covariance import accumulated, spread_of
from metrics.frechet import frechet_from_moments
from synth.errors import SynthError
from synth.manifest import write_bytes


@dataclass(frozen=True)
class Moments:
    """What a Fréchet distance needs of a set of features.

    Attributes:
        n: rows; 0 where a file did not say.
        mean: float64 [d].
        scatter: float64 [d, d], Σ (x - mean)(x - mean)ᵀ; with n = 0 the covariance itself.
        extractor: what made the features; two named ones must agree to be merged.
    """

    n: int
    mean: Floats
    scatter: Floats
    extractor: str = ""

    @property
    def covariance(self) -> Floats:
        """Σ with 1 / (n - 1)."""
        if self.n == 0:
            return self.scatter
        if self.n == 1:
            raise SynthError("a covariance needs two rows", where="moments", got="n = 1")
        covariance: Floats = self.scatter / (self.n - 1)
        return covariance

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets of rows together.

        Raises:
            SynthError: different dimensions or extractors, or a side without its n.
        """
        if self.n == 0 or other.n == 0:
            raise SynthError(
                "statistics without n cannot be merged",
                where="moments",
                fix="Load the file with n=, the number of images behind it.",
            )
        if len(self.mean) != len(other.mean) or (
            self.extractor and other.extractor and self.extractor != other.extractor
        ):
            raise SynthError(
                "statistics of different extractors cannot be merged",
                where="moments",
                got=f"{_named(self)} and {_named(other)}",
            )
        n = self.n + other.n
        shift = other.mean - self.mean
        mean: Floats = self.mean + shift * (other.n / n)
        between = np.outer(shift, shift) * (self.n * (other.n / n))
        return Moments(
            n, mean, self.scatter + other.scatter + between, self.extractor or other.extractor
        )

    def save(self, path: Path) -> None:
        """Write ``mu``, ``sigma``, ``n`` and ``extractor`` as npz, whole or not at all."""
        content = io.BytesIO()
        np.savez(content, mu=self.mean, sigma=self.covariance, n=self.n, extractor=self.extractor)
        write_bytes(path, content.getvalue())


def _named(moments: Moments) -> str:
    return f"{moments.extractor or 'unnamed'} [{len(moments.mean)}]"


def moments_of(rows: ArrayLike, *, extractor: str = "") -> Moments:
    """Moments of features [n, d], one row at least."""
    found = spread_of(matrix("moments", rows, 1))
    return Moments(found.n, found.mean, found.scatter, extractor)


def streamed_moments(batches: Iterable[ArrayLike], *, extractor: str = "") -> Moments:
    """Moments of batches [b, d] in one pass; memory O(d²), whatever the number of rows.

    Raises:
        SynthError: no batch, or batches of different dimensions.
    """
    found = accumulated(_alike(batches))
    if not found.n:
        raise SynthError("no features to take statistics of", where="moments")
    return Moments(found.n, found.mean, found.scatter, extractor)


def _alike(batches: Iterable[ArrayLike]) -> Iterator[Matrix]:
    """The batches, checked, of one dimension."""
    dim = 0
    for batch in batches:
        rows = matrix("moments", batch, 1)
        if dim and rows.shape[1] != dim:
            raise SynthError(
                "batches have different dimensions",
                where="moments",
                got=f"{rows.shape[1]} after {dim}",
            )
        dim = rows.shape[1]
        yield rows


def load_moments(path: Path, *, n: int | None = None) -> Moments:
    """Read an npz of ``mu`` and ``sigma``, ours or another tool's.

    Args:
        path: the file.
        n: images behind it, for a file that does not say.

    Raises:
        SynthError: not such a file, or a file that says another n.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {key: np.asarray(file[key]) for key in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise SynthError("not a statistics file", where=path, got=error) from None
    if not {"mu", "sigma"} <= set(held):
        raise SynthError(
            "not a statistics file", where=path, got=sorted(held), expected="mu and sigma"
        )
    mean = held["mu"].astype(np.float64)
    covariance = held["sigma"].astype(np.float64)
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise SynthError("statistics have the wrong shape", where=path, got=covariance.shape)
    said = int(held["n"]) if "n" in held else 0
    if n is not None and said and n != said:
        raise SynthError("the file says another n", where=path, got=n, expected=said)
    count = said or n or 0
    name = str(held["extractor"]) if "extractor" in held else ""
    return Moments(count, mean, covariance * (count - 1) if count else covariance, name)


def frechet_of_moments(*, real: Moments, synthetic: Moments) -> float:
    """Plug-in Fréchet distance of two statistics; biased upwards, see ``metrics.frechet``."""
    return frechet_from_moments(
        real_mean=real.mean,
        real_covariance=real.covariance,
        synthetic_mean=synthetic.mean,
        synthetic_covariance=synthetic.covariance,
    )
