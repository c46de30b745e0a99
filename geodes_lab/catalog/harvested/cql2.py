"""Conditions in CQL2, as other STAC clients write them, translated to SQL whose text never contains values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from typing import Any

import cql2
from shapely import box, from_geojson
from shapely.errors import ShapelyError

from geodes_lab.catalog.harvested import like, terms
from geodes_lab.catalog.harvested.columns import KINDS, family, kind, quoted
from geodes_lab.errors import GeodesError, nearest

_COMPARISONS = {"=", "<>", "<", "<=", ">", ">="}
_SPATIAL = {
    "s_intersects": "ST_Intersects", "s_within": "ST_Within", "s_contains": "ST_Contains", "s_disjoint": "ST_Disjoint",
    "s_equals": "ST_Equals", "s_touches": "ST_Touches", "s_crosses": "ST_Crosses", "s_overlaps": "ST_Overlaps",
}  # fmt: skip
_RELATED = 200  # corners, and the lists around them
_ARRAYS = {"a_contains": "list_has_all", "a_overlaps": "list_has_any"}
_FUNCTIONS = {"casei": "lower", "accenti": "strip_accents"}
_CORE = {"id": "string", "collection": "string", "geometry": "geometry", "datetime": "date"}
_TYPES = {
    "integer": "BIGINT",
    "number": "DOUBLE",
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
    "date": "TIMESTAMPTZ",
    "array": "VARCHAR[]",
    "geometry": "GEOMETRY",
}
Sql = tuple[str, list[Any]]


def parsed(text: str) -> dict[str, Any]:
    """Parse the text form of CQL2.

    Raises
    ------
    GeodesError
        If it is not CQL2, or is larger than any real filter.
    """
    terms.check_text(text)
    try:
        condition: dict[str, Any] = cql2.parse_text(text).to_json()
        return condition
    except Exception as error:  # the library raises its own error types
        shown = text if len(text) <= 200 else f"{text[:199]}…"
        raise GeodesError(f"The filter {shown!r} is not valid CQL2: {' '.join(str(error).split())[:200]}") from error


def sql(condition: Mapping[str, Any], here: Mapping[str, str], known: Mapping[str, Set[str]] | None = None) -> Sql:
    """Translate a condition in the JSON form of CQL2 into a condition of DuckDB.

    Parameters
    ----------
    condition
        The expression.
    here
        The columns to search, with their kinds.
    known
        The properties that this search may name, with their kinds in all searched files; by default those of ``here``.
        A property that is missing here, or whose values have another kind than the compared one, counts as empty.

    Returns
    -------
    tuple
        The SQL, and the values of its question marks, in order.

    Raises
    ------
    GeodesError
        If it names an unknown property or operator, or is larger than any real filter.
    """
    terms.check(condition)
    there = {**here, **_CORE} if known is None else {**here, **{k: v for k, v in _CORE.items() if k != "datetime"}}
    everywhere = {**(known or {k: {v} for k, v in here.items()}), **{k: {v} for k, v in _CORE.items()}}
    try:
        return _Writer(there, everywhere).condition(condition)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, ShapelyError, RecursionError) as error:
        raise GeodesError(
            f"This catalogue does not understand the CQL2 of the filter: {str(error)[:200]!r}."
        ) from error


class _Writer:
    def __init__(self, here: Mapping[str, str], known: Mapping[str, Set[str]]) -> None:
        self._here, self._known = here, known

    def condition(self, expression: Any) -> Sql:
        if isinstance(expression, bool):
            return ("true" if expression else "false"), []
        op, args = expression["op"].lower(), expression["args"]
        if not isinstance(args, list):
            raise TypeError("args is a list")
        if op in ("and", "or"):
            parts = [self.condition(a) for a in args]
            if not parts:
                raise ValueError(f"{op} has no arguments")
            return f"({f' {op} '.join(text for text, _ in parts)})", [v for _, values in parts for v in values]
        if op == "not":
            text, values = self.condition(args[0])
            return f"(NOT {text})", values
        if op == "isnull":
            text, values = self._value(args[0])
            return f"({text} IS NULL)", values
        if op in _SPATIAL:
            # The relation of two areas takes time in proportion to the product of their corners, and DuckDB does not
            # check its time limit meanwhile.
            if op != "s_intersects" and json.dumps(args, default=str).count("[") > _RELATED:
                raise GeodesError(
                    f"{op} can have an area of at most {_RELATED} corners: simplify the area, or use s_intersects."
                )
            return self._call(_SPATIAL[op], args, "geometry")
        if op in _ARRAYS:
            return self._call(_ARRAYS[op], args, "array")
        if op == "t_intersects":
            return self._during(args)
        return self._compared(op, args)

    def _compared(self, op: str, args: list[Any]) -> Sql:
        if op == "like":
            return self._like(*args)
        wanted = _literals([args[0], *args[1]] if op == "in" else args)
        own = next((k for k in (self._kind(a, wanted) for a in args) if k), "")
        if own == "array" and op in ("=", "in"):  # a property with several values matches if one of them does
            several = args[1] if op == "in" else [args[1]]
            text, values = self._value(args[0], {*wanted, "array"})
            return f"list_has_any({text}, ?)", [*values, several]
        several = [args[0], *args[1]] if op == "in" else args
        texts, values = self._values(several, "TIMESTAMPTZ" if own == "date" else "", wanted)
        if op in _COMPARISONS:
            return f"({texts[0]} {op} {texts[1]})", values
        if op == "between":
            return f"({texts[0]} BETWEEN {texts[1]} AND {texts[2]})", values
        if op == "in":
            return f"({texts[0]} IN ({', '.join(texts[1:]) or 'NULL'}))", values
        raise GeodesError(f"The filter has the operator {op[:50]!r}, which this catalogue does not support.")

    def _like(self, subject: Any, pattern: Any) -> Sql:
        functions = []
        while isinstance(pattern, Mapping) and pattern.get("op") in _FUNCTIONS:
            functions.append(_FUNCTIONS[pattern["op"]])
            pattern = pattern["args"][0]
        if not isinstance(pattern, str) or len(pattern) > terms.PATTERN:
            raise GeodesError(f"The pattern of LIKE must be a text of at most {terms.PATTERN} characters.")
        text, values = self._value(subject, {"string"})
        called = "?"
        for name in reversed(functions):
            called = f"{name}({called})"
        test, value = like.test(pattern)
        return test.format(text, called), [*values, value]

    def _call(self, function: str, args: list[Any], own: str) -> Sql:
        texts, values = self._values(args[:2], "", {own})
        return f"{function}({', '.join(texts)})", values

    def _during(self, args: list[Any]) -> Sql:
        """Compare a time or an interval, given as ``{"interval": [begin, end]}``."""
        text, values = self._value(args[0], {"date"})
        instants = args[1].get("interval") or [next(iter(args[1].values()))] * 2
        begin, end = (None if t == ".." else _instant(t) for t in instants)
        conditions = [f"{text} {op} CAST(? AS TIMESTAMPTZ)" for op, t in ((">=", begin), ("<=", end)) if t]
        bounds = [v for t in (begin, end) if t for v in (*values, t)]
        return f"({' AND '.join(conditions) or 'true'})", bounds

    def _values(self, args: list[Any], cast: str, wanted: Set[str]) -> tuple[list[str], list[Any]]:
        parts = [self._value(a, wanted) for a in args]
        texts = [f"CAST(? AS {cast})" if cast and text == "?" else text for text, _ in parts]
        return texts, [v for _, values in parts for v in values]

    def _value(self, operand: Any, wanted: Set[str] = frozenset()) -> Sql:
        """Translate a value or a property; ``wanted`` are the kinds of the values that it is compared with."""
        if not isinstance(operand, Mapping):
            return "?", [operand]
        if "property" in operand:
            return self._column(self._name(operand["property"]), wanted), []
        if "timestamp" in operand or "date" in operand:
            return "CAST(? AS TIMESTAMPTZ)", [_instant(operand)]
        if "coordinates" in operand or "geometries" in operand:
            return "ST_GeomFromWKB(?)", [from_geojson(_json(operand)).wkb]
        if "bbox" in operand:
            west, south, east, north = operand["bbox"]
            return "ST_GeomFromWKB(?)", [box(west, south, east, north).wkb]
        if operand.get("op") in _FUNCTIONS:
            text, values = self._value(operand["args"][0], {"string"})
            return f"{_FUNCTIONS[operand['op']]}({text})", values
        raise GeodesError(f"The filter has {_json(operand)[:100]}, which this catalogue does not support.")

    def _column(self, name: str, wanted: Set[str]) -> str:
        own = self._kind({"property": name}, wanted)
        if name in self._here and own == self._here[name]:
            return quoted(name)
        return f"CAST(NULL AS {_TYPES.get(own, 'VARCHAR')})"

    def _kind(self, operand: Any, wanted: Set[str]) -> str:
        """Return the kind of a property's values; if it has several, the one that it is compared with."""
        if not (isinstance(operand, Mapping) and "property" in operand):
            return ""
        name = self._name(operand["property"])
        there = self._known[name]
        meant = {k for k in there if _meets(family(k), wanted)}
        own = self._here.get(name, "")
        if own and (own in meant or not meant):
            return own
        # The property is missing here: its well-known kind, else the first one, so that the result is always the same.
        return min(meant or there, key=lambda k: (k != KINDS.get(name), k))

    def _name(self, property_name: Any) -> str:
        name = property_name.removeprefix("properties.")
        if name not in self._known:  # what is not a column never enters the text
            raise GeodesError(f"There is no queryable {property_name[:100]!r}{nearest(name[:100], self._known) or '.'}")
        return str(name)


def _literals(args: list[Any]) -> set[str]:
    """Return the kinds of the values among some arguments."""
    kinds = set()
    for argument in args:
        if not isinstance(argument, Mapping):
            kinds.add(kind(argument))
        elif "timestamp" in argument or "date" in argument:
            kinds.add("date")
        elif argument.get("op") in _FUNCTIONS:
            kinds.add("string")
    return kinds - {""}


def _meets(own: str, wanted: Set[str]) -> bool:
    """Whether values of a kind can be compared with values of some other kinds."""
    if own == "date":
        return bool(wanted & {"date", "string"})
    return not wanted or own in wanted or own == "array"


def _instant(value: Any) -> str:
    return str(value.get("timestamp") or value["date"]) if isinstance(value, Mapping) else str(value)


def _json(expression: Mapping[str, Any]) -> str:
    return json.dumps(dict(expression))
