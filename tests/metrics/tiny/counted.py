"""An extractor for tests of how often one runs."""

from torch import Tensor


class Counted:
    """Gives back what it gets and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.calls += 1
        return images
