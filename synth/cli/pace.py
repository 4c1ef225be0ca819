"""How fast a stage goes and how long it will take."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WINDOW = 60.0  # seconds that the rate is taken over
_SPACING = 1.0  # seconds between two remembered counts
_ENOUGH = 2.0  # seconds before anything is said


@dataclass
class Pace:
    """The rate of the last minute: the start, where kept work is counted at once, does not blur it.

    Attributes:
        seen: (seconds, items done), oldest first.
    """

    seen: deque[tuple[float, int]] = field(default_factory=deque)

    def words(self, done: int, total: int, now: float) -> str:
        """Take in a count; ``"18.2/s, 0:44 left"``, or nothing while it cannot be told.

        Args:
            done: finished items.
            total: all items.
            now: seconds of a clock that never goes back.
        """
        if not self.seen or now - self.seen[-1][0] >= _SPACING:
            self.seen.append((now, done))
        while len(self.seen) > 2 and now - self.seen[1][0] >= WINDOW:
            self.seen.popleft()
        since, before = self.seen[0]
        if now - since < _ENOUGH or done <= before:
            return ""
        rate = (done - before) / (now - since)
        shown = f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each"
        return f"{shown}, {clock((total - done) / rate)} left" if done < total else shown


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any.

    >>> clock(44.4), clock(3725)
    ('0:44', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
