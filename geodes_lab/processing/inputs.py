"""The inputs of a process: from the signature of its function, with units and ranges; each value is checked.

A signature says it with the usual types of Python and `typing.Annotated`:

``buffer: Annotated[float, Unit("m"), Between(0, 10_000)] = 0.0``
"""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from geodes_lab import arguments
from geodes_lab.errors import GeodesError, nearest
from geodes_lab.processing import references
from geodes_lab.processing.docstring import described
from geodes_lab.processing.place import Place

MOST_BYTES = 8_000_000
"""Of all inputs of a job as JSON; zones are the largest of them."""
GIVEN = ("cube", "items", "folder")
"""Parameters that are no inputs: the runner gives them."""


@dataclass(frozen=True)
class Unit:
    """The unit of a number, in the spelling of UCUM, such as ``m``."""

    name: str


@dataclass(frozen=True)
class Between:
    """The least and the greatest value of a number; both are allowed."""

    least: float
    most: float


_UNIONS = (typing.Union, types.UnionType)

Shapes = Annotated[dict[str, Any], Field(json_schema_extra={"format": "geojson-feature-collection"})]
"""GeoJSON. `geodes_lab.process` takes a file or a GeoDataFrame too, and stores it as GeoJSON."""


class Inputs:
    """The inputs of one process.

    Parameters
    ----------
    process
        Its name, for errors.
    functions
        Whose signatures have the inputs: that of the process, and that of opening its cube. If both have an input, that
        of the first counts.
    without
        Parameters of opening that are the same in all jobs, and no inputs.

    Raises
    ------
    GeodesError
        If a parameter has no type, or one that has no JSON schema.
    """

    def __init__(self, process: str, *functions: Callable[..., Any], without: Collection[str] = ()) -> None:
        self.process = process
        self.texts: dict[str, str] = {}
        self.units: dict[str, str] = {}
        self.files: set[str] = set()
        """Inputs that name files."""
        self.place: str | None = None
        """The parameter that is a `Place`, if there is one."""
        self._fields: dict[str, Any] = {}
        for number, function in enumerate(functions):
            self._add(function, () if number == 0 else without)

    def _add(self, function: Callable[..., Any], without: Collection[str]) -> None:
        texts = described(function).parameters
        try:
            hints = typing.get_type_hints(function, include_extras=True)
        except (NameError, TypeError, SyntaxError) as error:
            raise GeodesError(
                f"The types of the process {self.process} cannot be read ({error}): correct them."
            ) from None
        for parameter in inspect.signature(function).parameters.values():
            name = parameter.name
            if name in GIVEN or name in self._fields or name in without:
                continue
            if hints.get(name) is Place:
                self.place = name
                continue
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                raise GeodesError(f"The process {self.process} has *{name}: give each input its own name.")
            if name not in hints:
                raise GeodesError(f"The input {name} of the process {self.process} has no type: write {name}: float.")
            hint, unit, is_files = _converted(hints[name])
            default = ... if parameter.default is parameter.empty else parameter.default
            self._fields[name] = (hint, Field(default, description=texts.get(name) or None))
            self.texts[name] = texts.get(name, "")
            if unit:
                self.units[name] = unit
            if is_files:
                self.files.add(name)

    @property
    def names(self) -> list[str]:
        """Their names, in the order of the signature."""
        return list(self._fields)

    @cached_property
    def _model(self) -> type[BaseModel]:
        config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
        try:
            return create_model(f"Inputs of {self.process}", __config__=config, **self._fields)
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            line = str(error).splitlines()[0]
            raise GeodesError(f"An input of the process {self.process} has a type without a schema: {line}") from None

    def schemas(self) -> dict[str, dict[str, Any]]:
        """Return the JSON schema of each input; one without a default is required."""
        try:
            whole = self._model.model_json_schema()
        except (PydanticUserError, ValueError) as error:
            line = str(error).splitlines()[0]
            raise GeodesError(f"An input of the process {self.process} has a type without a schema: {line}") from None
        shared = {"$defs": whole["$defs"]} if "$defs" in whole else {}
        drop = ("title", "description")
        return {n: {k: v for k, v in s.items() if k not in drop} | shared for n, s in whole["properties"].items()}

    def required(self) -> set[str]:
        """Return the names of the inputs without a default."""
        return {name for name, (_, info) in self._fields.items() if info.is_required()}

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Check what is given; returns all inputs as JSON has them, with the defaults.

        Raises
        ------
        GeodesError
            One sentence that names the input.
        """
        for name in given:
            if name not in self._fields:
                known = ", ".join(self.names) or "no inputs"
                meant = nearest(str(name), self.names) or "."
                raise GeodesError(f"The process {self.process} has no input {name!r}{meant} It has: {known}.")
        try:
            text = json.dumps({k: _plain(v) for k, v in given.items()}, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise GeodesError(f"An input of {self.process} cannot be written as JSON ({error}).") from None
        if len(text) > MOST_BYTES:
            raise GeodesError(
                f"The inputs of {self.process} have {len(text)} bytes, more than {MOST_BYTES}: simplify the shapes."
            )
        try:
            model = self._model.model_validate_json(text)
        except ValidationError as error:
            raise GeodesError(self._sentence(error)) from None
        document: dict[str, Any] = json.loads(model.model_dump_json())
        for name in self.files:
            references.checked(name, document[name])
        return document

    def _sentence(self, error: ValidationError) -> str:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "an input"
        if first["type"] == "missing" and len(first["loc"]) == 1:
            text = f": {self.texts[name].rstrip('.')}" if self.texts.get(name) else ""
            return f"The process {self.process} needs the input {name}{text}."
        unit = f" (in {self.units[name]})" if name in self.units else ""
        value = repr(first.get("input"))
        value = value if len(value) <= 80 else value[:77] + "…"
        return (
            f"The input {name}{unit} of {self.process} cannot be {value}: {first['msg'][:1].lower()}{first['msg'][1:]}."
        )


def _converted(hint: Any) -> tuple[Any, str, bool]:
    """Turn our words of an annotation into pydantic's; return the unit too, and whether values name files."""
    if typing.get_origin(hint) is not Annotated:
        parts = [_converted(part) for part in typing.get_args(hint)] if typing.get_origin(hint) in _UNIONS else []
        if not any(is_files for _, _, is_files in parts):
            return hint, "", False
        return typing.Union[tuple(part for part, _, _ in parts)], "", True  # noqa: UP007  (made of parts)
    kind, *words = typing.get_args(hint)
    unit, kept, is_files = "", [], False
    for word in words:
        if isinstance(word, Unit):
            unit = word.name
        elif word is references.NAMED:
            is_files = True
        elif isinstance(word, Between):
            kept.append(Field(ge=word.least, le=word.most))
        else:
            kept.append(word)
    return (Annotated[(kind, *kept)] if kept else kind), unit, is_files


def _plain(value: Any) -> Any:
    """Convert numpy's values to Python's, in lists and dictionaries too."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    plain = arguments.plain(value)
    return list(plain) if isinstance(plain, (set, frozenset)) else plain
