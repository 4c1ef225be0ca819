"""Labellers by name: the built-in rules, and whatever an installed package offers.

A package plugs in a labeller through the entry-point group ``synth.labelers``::

    [project.entry-points."synth.labelers"]
    chexbert = "my_package.chexbert:make"

``make(mode)`` returns a :class:`~synth.text.label.Labeler`. Nothing of it is imported before its
name is used.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from synth.errors import SynthError
from synth.registry import Registry
from synth.text.label import Labeler
from synth.text.modes import Mode

GROUP = "synth.labelers"
_BUILT_IN = {"rules": "synth.text.label:RuleLabeler"}


def labelers() -> Registry:
    """Every labeller that can be named here; a plug-in cannot take the name of a built-in one."""
    plugged = {point.name: point.value for point in entry_points(group=GROUP)}
    return Registry("labeler", plugged | _BUILT_IN)


def load_labeler(name: str = "rules", mode: Mode = "default") -> Labeler:
    """The labeller of a name.

    Args:
        name: ``rules``, or a plug-in's.
        mode: how several mentions become one value; passed on to the labeller.

    Raises:
        UsageError: an unknown name or mode.
        SynthError: the plug-in cannot be imported, or what it makes is no labeller.
    """
    registry = labelers()
    try:
        make = registry.get(name)
    except (ImportError, AttributeError) as error:
        raise SynthError(
            "the labeller cannot be imported",
            where=registry.entries[name],
            got=error,
            fix="Reinstall the package that offers it.",
        ) from None
    made = make(mode=mode)
    if not (callable(getattr(made, "label", None)) and isinstance(getattr(made, "name", 0), str)):
        raise SynthError(
            "not a labeller",
            where=registry.entries[name],
            got=type(made).__name__,
            expected="an object with `name` and `label(text)`",
        )
    labeler: Labeler = made
    return labeler
