"""YAML without its surprises: a key given twice is an error and words stay words."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml

_BOOL, _FLOAT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:float"
_NUMBER = re.compile(
    r"^[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+"
    r"|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$"
)


class StrictLoader(yaml.SafeLoader):
    """YAML 1.1 where ``1e-4`` is a number, ``no`` and ``on`` are words, and keys are unique words.

    Plain YAML 1.1 reads ``1e-4`` as text and ``no`` as false, and keeps the last of two equal keys.
    """


def _construct_mapping(loader: StrictLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    seen: set[str] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            problem = f"a key must be a word, got {key!r}"
        elif key in seen:
            problem = f"key `{key}` is given twice"
        else:
            seen.add(key)
            continue
        raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
    return loader.construct_mapping(node, deep=True)


def _without(tags: tuple[str, ...]) -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """The loader's table of plain words to types, less the given types."""
    return {
        first: [pair for pair in pairs if pair[0] not in tags]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


StrictLoader.yaml_implicit_resolvers = _without((_BOOL, _FLOAT))
StrictLoader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))
StrictLoader.add_implicit_resolver(_FLOAT, _NUMBER, list("-+0123456789."))
StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)
