"""What ``synth check`` says of a run's memory, disk, time and texts."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from synth.cli.checks import Check
from synth.cli.tables import duration, table

if TYPE_CHECKING:
    from rich.table import Table

    from train.check import Outlook


def outlook_checks(outlook: Outlook) -> list[Check]:
    """The verdicts: what trains, and whether memory and disks suffice."""
    total = sum(outlook.parameters.values())
    share = total / outlook.all_parameters
    trains = f"{_millions(total)} of {_millions(outlook.all_parameters)} ({share:.1%})"
    return [
        Check("parameters", total > 0, f"{trains} train, in {outlook.precision}"),
        _memory(outlook),
        *_disks(outlook),
        Check("time", True, _time(outlook)),
        Check("texts", True, _texts(outlook)),
        Check("pairs", True, f"{len(outlook.pairs)} drawn with their texts: {outlook.sheet}"),
    ]


def outlook_tables(outlook: Outlook) -> list[Table]:
    """What trains, and where memory, disk and time go."""
    memory, spent = outlook.memory, outlook.duration
    taken = [(name, size_words(n)) for name, n in memory.lasting.items()]
    taken += [(f"+ {name}", size_words(n)) for name, n in memory.passing.items()]
    taken.append(("together, at the most", size_words(memory.peak)))
    return [
        table(
            "What trains", ("", "numbers"), [(n, f"{c:,}") for n, c in outlook.parameters.items()]
        ),
        table("Memory (of lines with + the largest counts)", ("", ""), taken),
        table("Disk", ("", ""), [(n, size_words(size)) for n, (_, size) in outlook.disk.items()]),
        table("Time", ("", ""), [(name, duration(s)) for name, s in spent.parts.items()]),
    ]


def _memory(outlook: Outlook) -> Check:
    peak, free = outlook.memory.peak, outlook.memory_free
    if free is None:
        return Check("memory", True, f"{size_words(peak)} needed; the device is not here")
    words = f"{size_words(peak)} needed, {size_words(free)} free"
    if outlook.fitting is None:
        advice = (
            "not even one image at a time fits: set model.gradient_checkpointing=true, "
            "model.adapter=lora or a smaller data.size"
        )
        return Check("memory", False, f"{words}; {advice}")
    if outlook.fitting < outlook.micro_batch:
        same = f"set train.micro_batch={outlook.fitting}, the results stay the same"
        return Check("memory", False, f"{words}; {same}")
    return Check("memory", True, words)


def _disks(outlook: Outlook) -> list[Check]:
    """One verdict a volume."""
    volumes: dict[int, list[tuple[Path, int]]] = defaultdict(list)
    for folder, count in outlook.disk.values():
        place = folder.resolve()
        while not place.exists():
            place = place.parent
        volumes[place.stat().st_dev].append((place, count))
    checks = []
    for parts in volumes.values():
        place, needed = parts[0][0], sum(count for _, count in parts)
        free = shutil.disk_usage(place).free
        words = f"{size_words(needed)} needed by a whole run, {size_words(free)} free at {place}"
        checks.append(Check("disk", needed < free, words))
    return checks


def _time(outlook: Outlook) -> str:
    spent = outlook.duration
    how = "measured" if spent.basis == "measured" else f"roughly, {spent.basis}"
    return f"{duration(spent.total)} for a whole run; a step {duration(spent.step)} ({how})"


def _texts(outlook: Outlook) -> str:
    cut = outlook.cut
    if not cut.prompts:
        return f"all of {cut.looked_at} texts fit"
    return f"{cut.prompts} of {cut.looked_at} texts are too long: {cut.tokens} tokens are cut"


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f} M" if count < 1e9 else f"{count / 1e9:.2f} G"


def size_words(count: int) -> str:
    """``413 MiB`` or ``7.2 GiB``."""
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"
