"""Conditions in CQL2, as other clients of STAC write them, made into SQL whose values are never part of its text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import cql2
from shapely import box, from_geojson
from shapely.errors import ShapelyError

from geodes_lab.errors import GeodesError, nearest

_COMPARISONS = {"=", "<>", "<", "<=", ">", ">="}
_SPATIAL = {
    "s_intersects": "ST_Intersects", "s_within": "ST_Within", "s_contains": "ST_Contains", "s_disjoint": "ST_Disjoint",
    "s_equals": "ST_Equals", "s_touches": "ST_Touches", "s_crosses": "ST_Crosses", "s_overlaps": "ST_Overlaps",
}  # fmt: skip
_ARRAYS = {"a_contains": "list_has_all", "a_overlaps": "list_has_any"}
_CORE = {"id": "string", "collection": "string", "geometry": "geometry", "datetime": "date"}
Sql = tuple[str, list[Any]]


def parsed(text: str) -> dict[str, Any]:
    """Read the text form of CQL2.

    Raises
    ------
    GeodesError
        If it is none.
    """
    try:
        found: dict[str, Any] = cql2.parse_text(text).to_json()
        return found
    except Exception as error:  # the library raises kinds of its own
        raise GeodesError(f"The filter {text!r} is no CQL2: {' '.join(str(error).split())[:200]}") from error


def sql(condition: Mapping[str, Any], known: Mapping[str, str]) -> Sql:
    """Translate a condition in the JSON form of CQL2 into a condition of DuckDB.

    Parameters
    ----------
    condition
        The expression.
    known
        The properties that there are, with their types: the columns.

    Returns
    -------
    tuple
        The SQL, and the values of its question marks, in order.

    Raises
    ------
    GeodesError
        If it names a property or an operator that there is not.
    """
    try:
        return _Writer({**known, **_CORE}).condition(condition)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, ShapelyError) as error:
        raise GeodesError(f"The filter is no CQL2 that this catalogue understands: {error!r}.") from error


class _Writer:
    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known

    def condition(self, told: Any) -> Sql:
        if isinstance(told, bool):
            return ("true" if told else "false"), []
        op, args = told["op"].lower(), told["args"]
        if op in ("and", "or"):
            parts = [self.condition(a) for a in args]
            return f"({f' {op} '.join(text for text, _ in parts)})", [v for _, values in parts for v in values]
        if op == "not":
            text, values = self.condition(args[0])
            return f"(NOT {text})", values
        if op == "isnull":
            text, values = self._value(args[0])
            return f"({text} IS NULL)", values
        if op in _SPATIAL:
            return self._call(_SPATIAL[op], args)
        if op in _ARRAYS:
            return self._call(_ARRAYS[op], args)
        if op == "t_intersects":
            return self._during(args)
        return self._compared(op, args)

    def _compared(self, op: str, args: list[Any]) -> Sql:
        kind = next((k for k in map(self._kind, args) if k), "")
        if kind == "array" and op in ("=", "in"):  # a property of several values has it, if one of them is it
            several = args[1] if op == "in" else [args[1]]
            text, values = self._value(args[0])
            return f"list_has_any({text}, ?)", [*values, several]
        several = [args[0], *args[1]] if op == "in" else args
        texts, values = self._values(several, "TIMESTAMPTZ" if kind == "date" else "")
        if op in _COMPARISONS:
            return f"({texts[0]} {op} {texts[1]})", values
        if op == "like":
            return f"({texts[0]} LIKE {texts[1]} ESCAPE '\\')", values
        if op == "between":
            return f"({texts[0]} BETWEEN {texts[1]} AND {texts[2]})", values
        if op == "in":
            return f"({texts[0]} IN ({', '.join(texts[1:]) or 'NULL'}))", values
        raise GeodesError(f"The filter has the operator {op!r}, which this catalogue does not know.")

    def _call(self, function: str, args: list[Any]) -> Sql:
        texts, values = self._values(args)
        return f"{function}({', '.join(texts)})", values

    def _during(self, args: list[Any]) -> Sql:
        """Of a time or an interval, given as ``{"interval": [begin, end]}``."""
        text, values = self._value(args[0])
        told = args[1].get("interval") or [next(iter(args[1].values()))] * 2
        begin, end = (None if t == ".." else _instant(t) for t in told)
        conditions = [f"{text} {op} CAST(? AS TIMESTAMPTZ)" for op, t in ((">=", begin), ("<=", end)) if t]
        bounds = [v for t in (begin, end) if t for v in (*values, t)]
        return f"({' AND '.join(conditions) or 'true'})", bounds

    def _values(self, args: list[Any], cast: str = "") -> tuple[list[str], list[Any]]:
        parts = [self._value(a) for a in args]
        texts = [f"CAST(? AS {cast})" if cast and text == "?" else text for text, _ in parts]
        return texts, [v for _, values in parts for v in values]

    def _value(self, told: Any) -> Sql:
        if not isinstance(told, Mapping):
            return "?", [told]
        if "property" in told:
            return f'"{self._name(told["property"])}"', []
        if "timestamp" in told or "date" in told:
            return "CAST(? AS TIMESTAMPTZ)", [_instant(told)]
        if "coordinates" in told or "geometries" in told:
            return "ST_GeomFromWKB(?)", [from_geojson(_json(told)).wkb]
        if "bbox" in told:
            west, south, east, north = told["bbox"]
            return "ST_GeomFromWKB(?)", [box(west, south, east, north).wkb]
        if told.get("op") in ("casei", "accenti"):
            function = {"casei": "lower", "accenti": "strip_accents"}[told["op"]]
            text, values = self._value(told["args"][0])
            return f"{function}({text})", values
        raise GeodesError(f"The filter has {_json(told)}, which this catalogue does not know.")

    def _kind(self, told: Any) -> str:
        return (
            self._known.get(self._name(told["property"]), "")
            if isinstance(told, Mapping) and "property" in told
            else ""
        )

    def _name(self, told: str) -> str:
        name = told.removeprefix("properties.")
        if name not in self._known:  # what is no column never comes into the text
            raise GeodesError(f"There is no queryable {told!r}{nearest(name, self._known) or '.'}")
        return name


def _instant(told: Any) -> str:
    return str(told.get("timestamp") or told["date"]) if isinstance(told, Mapping) else str(told)


def _json(told: Mapping[str, Any]) -> str:
    return json.dumps(dict(told))
