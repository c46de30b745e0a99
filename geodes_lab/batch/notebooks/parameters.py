"""The parameters of a notebook: the names that its cell with the tag ``parameters`` sets, typed by their defaults.

The cell is read, never run. What is given is written as literals into a cell of its own below it, as papermill does.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbformat.v4 import new_code_cell

from geodes_lab import arguments
from geodes_lab.batch.notebooks.document import INJECTED, PARAMETERS, Notebook
from geodes_lab.errors import GeodesError, nearest, shown

_MOST_BYTES = 1_000_000  # of all values as JSON
_MOST_DEPTH = 32
_KINDS: dict[str, tuple[type, str]] = {
    "bool": (bool, "true or false"),
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "str": (str, "a text"),
    "list": (list, "a list"),
    "dict": (dict, "a dictionary"),
    "None": (type(None), "nothing"),
}
"""The types that a parameter can have, by their name in an annotation, with how a sentence calls them."""


@dataclass(frozen=True)
class Parameter:
    """One name of the cell, and what it may be."""

    name: str
    default: Any
    kinds: tuple[str, ...]
    """Names of `_KINDS`; empty: whatever JSON has."""
    of: str = ""
    """Of a list: the type of its values, if all those of the default have one."""
    text: str = ""
    """The comment behind it."""

    def checked(self, value: Any, notebook: str) -> Any:
        """Return a value as the notebook gets it.

        Raises
        ------
        GeodesError
            If it is of another type.
        """
        if self.kinds and not any(_is(kind, value) for kind in self.kinds):
            raise self._wrong(value, " or ".join(_KINDS[kind][1] for kind in self.kinds), notebook)
        if self.of and isinstance(value, list) and not all(_is(self.of, one) for one in value):
            raise self._wrong(value, f"a list whose values are each {_KINDS[self.of][1]}", notebook)
        if "float" in self.kinds and "int" not in self.kinds and _is("int", value):
            return float(value)
        return [float(v) for v in value] if self.of == "float" and isinstance(value, list) else value

    def of_text(self, text: str, notebook: str) -> Any:
        """Return the value of a text, as a terminal has it: a text is itself, all others are JSON.

        Raises
        ------
        GeodesError
            If it cannot be one.
        """
        try:
            value = json.loads(text, parse_constant=_no_number)
            is_json = True
        except (ValueError, RecursionError):
            value, is_json = text, False
        if "str" in self.kinds or not self.kinds:
            others = [kind for kind in self.kinds if kind != "str"]
            fits = is_json and (not self.kinds or any(_is(kind, value) for kind in others))
            return self.checked(value if fits else text, notebook)
        return self.checked(value, notebook)

    def _wrong(self, value: Any, what: str, notebook: str) -> GeodesError:
        word = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:77]}…"
        return GeodesError(
            f"The parameter {self.name} of {shown(notebook)} cannot be {word}: it is {what}, as its default "
            f"{repr(self.default)[:80]}."
        )


def of(notebook: Notebook) -> dict[str, Parameter]:
    """Return the parameters of a notebook by name; without a cell with the tag there are none.

    Raises
    ------
    GeodesError
        If the cell is no Python.
    """
    number = notebook.tagged(PARAMETERS)
    if number is None:
        return {}
    source = notebook.node.cells[number].source
    if notebook.language != "python":
        raise GeodesError(f"{notebook.name} is in {notebook.language}: only notebooks in Python have parameters here.")
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise GeodesError(f"The cell of {notebook.name} with the tag {PARAMETERS} is no Python: correct it.") from None
    lines, found = source.splitlines(), dict[str, Parameter]()
    note: ast.expr | None
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                note = None
            case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.expr() as note, value=ast.expr() as value):
                pass
            case _:
                continue
        try:
            default = ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            found.pop(name, None)  # it is computed: there is no type to hold a value against
            continue
        kinds = _annotated(note) or _of_default(default)
        comment = lines[(statement.end_lineno or 1) - 1].partition("#")[2].strip() if "str" not in kinds else ""
        found[name] = Parameter(name, default, kinds, _values(default), comment)
    return found


def checked(notebook: Notebook, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check what is given for the parameters of a notebook.

    Raises
    ------
    GeodesError
        A sentence that names the parameter: there is no such one, or the value is of another type.
    """
    if not given:
        return {}
    known = of(notebook)
    try:
        text = json.dumps({str(k): _plain(v) for k, v in given.items()}, allow_nan=False)
        if _depth(values := json.loads(text)) > _MOST_DEPTH:
            raise ValueError("it is nested too deeply")
    except (TypeError, ValueError, RecursionError) as error:
        raise GeodesError(f"A parameter of {notebook.name} cannot be written as JSON ({error}).") from None
    if len(text) > _MOST_BYTES:
        raise GeodesError(f"The parameters have {len(text)} bytes, more than {_MOST_BYTES}: give the path of a file.")
    return {name: _known(notebook, known, name).checked(value, notebook.name) for name, value in values.items()}


def of_words(notebook: Notebook, words: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of words such as ``cloud=20``, typed by the notebook.

    Raises
    ------
    GeodesError
        If a word is none, or its value is of another type.
    """
    known, values = of(notebook) if words else {}, dict[str, Any]()
    for word in words:
        name, sign, text = word.partition("=")
        if not sign:
            raise GeodesError(f"{shown(word)[:80]!r} sets no parameter: write name=value.")
        values[name] = _known(notebook, known, name).of_text(text, notebook.name)
    return checked(notebook, values)


def put(notebook: Notebook, values: Mapping[str, Any]) -> None:
    """Write values, which were checked, into the notebook: a cell below that of the parameters."""
    node = notebook.node
    node.cells = [c for c in node.cells if INJECTED not in (c.metadata.get("tags") or [])]
    number = notebook.tagged(PARAMETERS)
    if not values or number is None:
        return
    lines = ["# Parameters of this run", *(f"{name} = {value!r}" for name, value in values.items())]
    cell = new_code_cell("\n".join(lines), metadata={"tags": [INJECTED]})
    if (node.nbformat, node.nbformat_minor) < (4, 5):
        cell.pop("id", None)
    node.cells.insert(number + 1, cell)


def _known(notebook: Notebook, known: Mapping[str, Parameter], name: str) -> Parameter:
    if name in known:
        return known[name]
    if not known:
        raise GeodesError(
            f"{notebook.name} has no parameters: give a cell of code the tag {PARAMETERS}, and set each name in it to "
            "a plain value, such as cloud = 20."
        )
    raise GeodesError(
        f"{notebook.name} has no parameter {name[:80]!r}{nearest(name, known) or '.'} It has: {', '.join(known)}."
    )


def _annotated(note: ast.expr | None) -> tuple[str, ...]:
    """Return the types of an annotation such as ``int | None``; empty, if it says something else."""
    match note:
        case ast.Name(id=name) if name in _KINDS:
            return (name,)
        case ast.Constant(value=None):
            return ("None",)
        case ast.Subscript(value=ast.Name(id=("list" | "dict") as name)):
            return (name,)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            one, other = _annotated(left), _annotated(right)
            return one + other if one and other else ()
    return ()


def _of_default(default: Any) -> tuple[str, ...]:
    if default is None:
        return ()
    kind = "list" if isinstance(default, (tuple, set)) else type(default).__name__
    return (kind,) if kind in _KINDS else ()


def _values(default: Any) -> str:
    if not isinstance(default, (list, tuple, set)) or not default:
        return ""
    kinds = {type(v).__name__ for v in default}
    if kinds == {"int", "float"}:
        return "float"
    return kinds.pop() if len(kinds) == 1 and kinds <= {"int", "float", "str", "bool"} else ""


def _is(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "bool"
    if kind == "float":
        return isinstance(value, (int, float)) and math.isfinite(value)
    return isinstance(value, _KINDS[kind][0])


def _plain(value: Any) -> Any:
    """Convert numpy's values to Python's, in lists and dictionaries too."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return arguments.plain(value)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")
