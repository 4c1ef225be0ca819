"""How the page reads ``scores.json``: parts may be missing, numbers become text, names words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Scores = Mapping[str, Any]
Point = tuple[float, tuple[float, float] | None]  # a value and its 95 % interval
NONE = "–"
LEVEL = 0.05  # of a family of tests
_TINY = 0.0005  # smaller numbers are shown as powers of ten, for decimals would show zero


def part(scores: Any, *keys: str) -> Scores:
    """The mapping under ``keys``, empty where anything on the way is missing, null or no mapping.

    >>> part({"macro": {"auroc": 0.9}}, "macro")
    {'auroc': 0.9}
    >>> part({"macro": None}, "macro", "findings")
    {}
    """
    for key in keys:
        scores = scores.get(key) if isinstance(scores, Mapping) else None
    return scores if isinstance(scores, Mapping) else {}


def items(scores: Scores, key: str) -> Sequence[Any]:
    """The list under ``key``, empty where there is none."""
    value = scores.get(key)
    return value if isinstance(value, list | tuple) else ()


def finite(value: Any) -> float | None:
    """The number, or None for null, not-a-number, infinities and what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def bounds(value: Any) -> tuple[float, float] | None:
    """An interval's two ends, None where it is withheld."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = finite(value[0]), finite(value[1])
    return None if low is None or high is None else (low, high)


def number(value: Any, digits: int | None = None, *, sign: bool = False) -> str:
    """A number for people: three significant digits unless ``digits`` decimals are asked for.

    >>> number(0.93456), number(1234.5), number(None), number(-0.02, 2, sign=True)
    ('0.935', '1,234', '–', '−0.02')
    """
    known = finite(value)
    if known is None:
        return NONE
    if digits is None:
        digits = _digits(known)
        if known and abs(known) < _TINY:
            return f"{known:{'+' if sign else ''}.1e}".replace("-", "−")
    text = f"{known:{'+' if sign else ''},.{digits}f}"
    if not text.strip("+-0."):  # rounded to nothing, it has no sign
        return text.lstrip("+-")
    return text.replace("-", "−")


def _digits(value: float) -> int:
    """Decimals that show about three significant digits; shares and AUROCs all look alike."""
    size = abs(value)
    if 0 < size < 0.01:  # as kernel distances may be
        return 4
    return 3 if size <= 1 else 2 if size < 10 else 1 if size < 100 else 0


def p_value(value: Any) -> str:
    """A p-value in three decimals, ``< 0.001`` below that.

    >>> p_value(0.0421), p_value(0.0001), p_value(None)
    ('0.042', '< 0.001', '–')
    """
    known = finite(value)
    if known is None:
        return NONE
    return "< 0.001" if known < 0.001 else f"{known:.3f}"


def interval(value: Any, digits: int | None = None, *, sign: bool = False) -> str:
    """``low to high``, both with as many decimals."""
    known = bounds(value)
    return NONE if known is None else " to ".join(ends(known, digits, sign=sign))


def ends(
    value: tuple[float, float], digits: int | None = None, *, sign: bool = False
) -> tuple[str, str]:
    """Both ends with the decimals that the larger one needs, or as powers of ten where it is tiny.

    >>> ends((0.88, 0.94)), ends((0.0001, 0.0004))
    (('0.880', '0.940'), ('1.0e−04', '4.0e−04'))
    """
    largest = max(value, key=abs)
    if digits is None and abs(largest) >= _TINY:
        digits = _digits(largest)
    low, high = (number(end, digits, sign=sign) for end in value)
    return low, high


def point(record: Scores, value: str = "value", ends: str = "ci") -> Point | None:
    """A record's value and interval under the named keys, None where there is no value."""
    known = finite(record.get(value))
    return None if known is None else (known, bounds(record.get(ends)))


def told_point(dot: Point | None) -> str:
    """``0.912 (0.850 to 0.960)``."""
    if dot is None:
        return NONE
    return number(dot[0]) + (f" ({interval(dot[1])})" if dot[1] else "")


def count(value: Any) -> str:
    """A whole number with thousands separators."""
    known = finite(value)
    return NONE if known is None else f"{round(known):,}"


def words(name: str) -> str:
    """A finding or key as words: ``pleural_effusion`` -> ``pleural effusion``."""
    return name.replace("_", " ")


def why_missing(scores: Scores, names: Sequence[str], otherwise: str) -> str:
    """The reason in ``not_computed`` of the first entry that speaks of one of ``names``."""
    for entry in items(scores, "not_computed"):
        if not isinstance(entry, Mapping):
            continue
        what = words(str(entry.get("what", ""))).lower()
        if any(name in what for name in names) and entry.get("why"):
            return str(entry["why"])
    return otherwise


def shortened(text: str, limit: int) -> str:
    """At most ``limit`` characters, cut between words."""
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    return text[: limit - 1].rsplit(" ", 1)[0].rstrip(" ,;.") + "…"


def sentence(text: Any) -> str:
    """A phrase as a sentence: a capital first, a full stop last.

    >>> sentence("0.5 is expected"), sentence("how far they lie apart"), sentence(None)
    ('0.5 is expected.', 'How far they lie apart.', '')
    """
    phrase = str(text or "").strip()
    if not phrase:
        return ""
    return phrase[0].upper() + phrase[1:] + ("" if phrase[-1] in ".!?" else ".")
