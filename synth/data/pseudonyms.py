"""Stable pseudonyms: a keyed hash (HMAC-SHA256) of a hospital's identifiers.

The key follows from the seed, so that the same source gives the same dataset. Whoever knows the
seed and can guess an identifier can recompute its pseudonym; give ``secret`` where that matters.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass


@dataclass(frozen=True)
class Pseudonyms:
    """Maps identifiers of a kind ("patient", "study", …) to short hexadecimal names."""

    seed: int
    secret: str = ""

    def name(self, kind: str, identifier: str) -> str:
        """16 hexadecimal digits; equal identifiers of one kind give equal names."""
        key = hashlib.sha256(f"pseudonym:{self.seed}:{self.secret}".encode()).digest()
        return hmac.new(key, f"{kind}:{identifier}".encode(), hashlib.sha256).hexdigest()[:16]
