"""The settings of an engine from a YAML file; every refusal is a sentence that names the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from geodes_lab.acquisition.settings.config import Config
from geodes_lab.errors import GeodesError, nearest, shown

_LARGEST = 2**20  # bytes of a file of settings
_KINDS = {"cdse", "catalogue", "folder", "plug-in"}  # pydantic puts the chosen kind into the path of a key


def load(path: Path) -> Config:
    """Read and check the settings; relative paths are relative to the file.

    Raises
    ------
    GeodesError
        If the file cannot be read, or a setting is wrong or unknown.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise GeodesError(f"{path} has more than 1 MiB: it is no file of settings.")
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise GeodesError(f"{path} cannot be read ({error.strerror}): check the path.") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        line = " ".join(str(error).split())[:200]
        raise GeodesError(f"{path} is not valid YAML ({line}).") from error
    return understood(document, str(path), path.absolute().parent)


def understood(document: Any, name: str, base: Path = Path()) -> Config:
    """Check settings; see `load`."""
    if not isinstance(document, dict):
        raise GeodesError(f"{name} has no settings: write version: 1, sources:, collections:, destination: and so on.")
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        more = f" ({len(problems) - 1} more after it)" if len(problems) > 1 else ""
        raise GeodesError(f"{name}: {shown(_sentence(problems[0]))}{more}.") from None
    return _absolute(config, base)


def schema() -> dict[str, Any]:
    """Return the JSON schema of the settings."""
    return Config.model_json_schema()


def _sentence(problem: ErrorDetails) -> str:
    where = [str(p) for n, p in enumerate(problem["loc"]) if not (n == 2 and p in _KINDS)]
    key = ".".join(where) or "the settings"
    kind, given = problem["type"], problem.get("input")
    if kind == "extra_forbidden":
        return f"{key} is not a setting{nearest(where[-1], _keys(where[:-1])) or '; check the spelling'}"
    if kind == "missing":
        return f"{key} is missing: add it"
    if kind == "value_error":
        return f"{key} is not right: {str(problem['ctx']['error']).rstrip('.')}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return f"{key}.kind must be one of {', '.join(sorted(_KINDS))}"
    # What stands in the place of a reference may be the secret itself.
    is_secret = bool({"login", "password", "webhook"} & set(where)) or kind.startswith("model")
    shown_value = "" if is_secret or isinstance(given, (dict, list)) else f" is {given!r}, which"
    return f"{key}{shown_value} is not right: {problem['msg'][:1].lower()}{problem['msg'][1:].rstrip('.')}"


def _keys(path: list[str]) -> list[str]:
    """Return the keys that are known at a path, to suggest one."""
    model: Any = Config
    for part in path:
        field = model.model_fields.get(part) if isinstance(model, type) and issubclass(model, BaseModel) else None
        kinds = getattr(field, "annotation", None)
        models = [m for m in _within(kinds) if isinstance(m, type) and issubclass(m, BaseModel)]
        if field is None:
            continue  # a name that the operator chose
        if not models:
            return []
        if len(models) > 1:
            return sorted({k for m in models for k in m.model_fields})
        model = models[0]
    return list(model.model_fields)


def _within(kind: Any) -> list[Any]:
    from typing import get_args

    several = [k for k in get_args(kind) if k is not type(None)]
    return [m for k in several for m in _within(k)] if several else [kind]


def _absolute(config: Config, base: Path) -> Config:
    """Return the same settings with absolute paths."""

    def whole(path: Path | None) -> Path | None:
        return None if path is None else base / path.expanduser()

    sources = {
        k: s.model_copy(update={"path": whole(s.path)}) if s.kind == "folder" else s for k, s in config.sources.items()
    }
    destination = config.destination.model_copy(update={"folder": whole(config.destination.folder)})
    state = config.state.model_copy(update={"folder": whole(config.state.folder)})
    changes: dict[str, Any] = {"sources": sources, "destination": destination, "state": state}
    changes |= {k: whole(getattr(config, k)) for k in ("catalogue", "metrics", "news")}
    if config.region is not None:
        changes["region"] = config.region.model_copy(update={"file": whole(config.region.file)})
    return config.model_copy(update=changes)
