"""A YAML file to a checked ``Config``: strict, one parent, overrides, every error at once.

    base: other.yaml            at most one parent, merged key by key; lists replace
    train: {steps: 1000}        sections of ``synth.config.schema.Config``

Overrides are ``section.key=value`` with the value read as YAML, and win over the file. Paths are
taken as written, relative to the working directory; ``base`` is relative to the file that names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from synth.config.schema import Config
from synth.config.strict_yaml import StrictLoader
from synth.errors import UsageError
from synth.manifest import sha256_text
from synth.registry import did_you_mean

MAX_PARENTS = 8  # a chain longer than this is a mistake


def load_config(path: Path | str | None, overrides: Sequence[str] = ()) -> Config:
    """Read, merge and check a configuration file.

    Args:
        path: a YAML file; ``None`` for the defaults.
        overrides: ``"train.steps=2000"``, the value in YAML: ``"sample.plan={kind: mirror}"``.

    Raises:
        UsageError: the file is missing or not YAML, or keys and values are wrong; one message
            names all of them with their dotted path.
    """
    values = _read(Path(path)) if path is not None else {}
    for override in overrides:
        _apply(values, override)
    return parse_config(values, where=path or "")


def parse_config(values: Mapping[str, Any], *, where: object = "") -> Config:
    """Check a plain mapping; see ``load_config``."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        problems = [_explain(dict(item)) for item in error.errors()]
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = (
            " " + problems[0] if len(problems) == 1 else "".join(f"\n  {line}" for line in problems)
        )
        raise UsageError(f"{count} in the configuration:{lines}", where=where) from None


def dump_config(config: Config) -> str:
    """The whole configuration, defaults written out, as YAML that ``load_config`` reads back."""
    return yaml.safe_dump(
        config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100
    )


def config_sha256(config: Config) -> str:
    """Hex SHA-256 of the resolved configuration: the same settings, the same hash."""
    return sha256_text(dump_config(config))


def shipped_config(name: str) -> Path:
    """The path of a configuration that comes with the project: ``shipped_config("demo")``.

    Raises:
        UsageError: there is none of that name.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "configs", package.parent / "configs"):  # installed, checkout
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    raise UsageError("no shipped configuration of that name", got=name)


def _read(path: Path, depth: int = 0) -> dict[str, Any]:
    if depth > MAX_PARENTS:
        raise UsageError("`base` files name each other in a circle", where=path)
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=StrictLoader)
    except FileNotFoundError:
        raise UsageError("no such configuration file", where=path, fix=_nearby(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("cannot be read as text", where=path, got=error) from None
    except yaml.YAMLError as error:
        raise UsageError(f"not valid YAML: {_one_line(error)}", where=path) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError(
            "a configuration is a mapping of sections",
            where=path,
            got=type(values).__name__,
            expected="run, model, data, train, sample, metrics",
        )
    parent = values.pop("base", None)
    if parent is None:
        return values
    if not isinstance(parent, str):
        raise UsageError("`base` names one parent file", where=path, got=parent)
    return _merge(_read(path.parent / parent, depth + 1), values)


def _nearby(path: Path) -> str:
    if path.is_dir():
        return "A folder was given; name the YAML file in it."
    names = [other.name for other in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
    return did_you_mean(path.name, names)


def _merge(parent: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(parent)
    for key, value in child.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _apply(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise UsageError("not an override", got=override, expected="section.key=value")
    try:
        value = yaml.load(text, Loader=StrictLoader)
    except yaml.YAMLError as error:
        problem = f"the value is not valid YAML: {_one_line(error)}"
        raise UsageError(problem, where=name, got=text) from None
    place = values
    for key in keys[:-1]:
        inner = place.get(key)
        place[key] = dict(inner) if isinstance(inner, Mapping) else {}
        place = place[key]
    place[keys[-1]] = value


def _explain(error: dict[str, Any]) -> str:
    """One line: dotted path, what is wrong, what was got, what was probably meant."""
    place = [str(part) for part in error["loc"] if not str(part).endswith("Section")]
    name = ".".join(place) or "configuration"
    if error["type"] == "extra_forbidden":
        hint = did_you_mean(place[-1], _keys(place[:-1]))
        known = ", ".join(_keys(place[:-1]))
        return f"{name}: unknown key. {hint or 'Known here: ' + known + '.'}"
    message = str(error["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    got = error.get("input")
    if isinstance(got, Mapping):  # a rule between keys speaks for itself
        return f"{name}: {message}"
    return f"{name}: {message} (got {got!r})"


def _keys(place: Sequence[str]) -> list[str]:
    """The keys a section accepts, ``[]`` where it accepts any."""
    model: type[BaseModel] | None = Config
    for part in place:
        field = model.model_fields.get(part) if model else None
        model = next(_models(field.annotation), None) if field else None
    return list(model.model_fields) if model else []


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind


def _one_line(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split())
