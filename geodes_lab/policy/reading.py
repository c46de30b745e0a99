"""A tree of dataclasses read from YAML: what is unknown or of another kind is refused in a sentence that names it."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from geodes_lab.errors import GeodesError
from geodes_lab.policy.units import Bytes, Price, Seconds

_WORDS = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


class Refused(GeodesError):
    """The operator's file says what cannot be; the sentence says where."""


def read(kind: Any, value: Any, where: str) -> Any:
    """Make what a type says of what YAML gave.

    Parameters
    ----------
    kind
        A dataclass, or the type of one of its fields.
    value
        As YAML has it.
    where
        How sentences name the place, such as ``groups.users.profiles``.

    Raises
    ------
    Refused
        If it is of another kind, or has a name that is not known.
    """
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        (kind,) = (k for k in typing.get_args(kind) if k is not types.NoneType)
        return read(kind, value, where)
    if origin is typing.Literal:
        allowed = typing.get_args(kind)
        if value not in allowed:
            raise Refused(f"{where} is {value!r}: it must be one of {', '.join(map(str, allowed))}.")
        return value
    if is_dataclass(kind):
        return _tree(kind, value, where)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise Refused(f"{where} is {_short(value)}: it must be names with values.")
        return {str(k): read(typing.get_args(kind)[1], v, f"{where}.{k}") for k, v in value.items()}
    if origin is tuple:
        several = value if isinstance(value, list) else [value]
        return tuple(read(typing.get_args(kind)[0], v, f"{where}[{n}]") for n, v in enumerate(several))
    if kind in (Bytes, Price, Seconds):
        try:
            return kind.read(value)
        except ValueError as error:
            raise Refused(f"{where}: {error}.") from None
    fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if not fits or (kind is not bool and isinstance(value, bool)):
        raise Refused(f"{where} is {_short(value)}: it must be {_WORDS[kind]}.")
    return kind(value)


@cache
def _types(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _tree(kind: Any, value: Any, where: str) -> Any:
    if value is None:
        value = {}
    if not isinstance(value, Mapping):
        raise Refused(f"{where or 'The file'} is {_short(value)}: it must be names with values.")
    known = [f.name for f in fields(kind)]
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1, 0.6)
            meant = f"did you mean {near[0]!r}?" if near else f"the known names are {', '.join(known)}."
            raise Refused(f"{_at(where, str(name))} is not known: {meant}")
    values = {name: read(_types(kind)[name], v, _at(where, name)) for name, v in value.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise Refused(f"{where or 'The file'}: {error}") from None
    except TypeError:
        missing = [f.name for f in fields(kind) if f.name not in values and _needed(f)]
        raise Refused(f"{_at(where, missing[0])} is missing.") from None


def _needed(field: Any) -> bool:
    from dataclasses import MISSING

    return field.default is MISSING and field.default_factory is MISSING


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:37]}…"
