"""Band expressions such as ``(nir - red) / (nir + red)``: parsed by a list of what is allowed; nothing is executed.

Bands, numbers, ``+ - * /``, powers, comparisons, ``& | ~``, and a few functions. Everything else is refused.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from geodes_lab.errors import GeodesError

MOST_CHARACTERS = 1000
_MOST_PARTS = 300
_MOST_DEPTH = 40
_MOST_POWER = 10
_SIGNS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.Invert: operator.invert,
    ast.USub: operator.neg, ast.UAdd: operator.pos,
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
_FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "abs": (1, np.abs), "sqrt": (1, np.sqrt), "exp": (1, np.exp), "log": (1, np.log), "log10": (1, np.log10),
    "minimum": (2, np.minimum), "maximum": (2, np.maximum), "where": (3, xr.where),
}  # fmt: skip


class Expression:
    """A band expression that was checked.

    Parameters
    ----------
    text
        At most `MOST_CHARACTERS`.

    Raises
    ------
    GeodesError
        If it contains anything that is not allowed; the sentence names it.
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str) or not text.strip() or len(text) > MOST_CHARACTERS:
            raise GeodesError(f"An expression is text of at most {MOST_CHARACTERS} characters, such as 'nir / red'.")
        self.text = text.strip()
        self._refuse_deep()
        try:
            self._tree = ast.parse(self.text, mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            why = error.msg if isinstance(error, SyntaxError) else "it is too deep"
            raise GeodesError(f"The expression {self.text!r} cannot be read: {why}.") from None
        self._bands: dict[str, None] = {}
        self._parts = 0
        self._check(self._tree, 0)
        if not self._bands:
            raise GeodesError(f"The expression {self.text!r} names no band.")

    @property
    def bands(self) -> list[str]:
        """The bands that it names, in their order."""
        return list(self._bands)

    def of(self, bands: Mapping[Any, Any]) -> Any:
        """Compute it, lazily if the bands are lazy.

        Parameters
        ----------
        bands
            Arrays by name.
        """
        return self._value(self._tree, bands)

    def _refuse_deep(self) -> None:
        """Refuse what the parser itself would recurse into."""
        depth = 0
        for character in self.text:
            depth += (character in "([{") - (character in ")]}")
            if depth > _MOST_DEPTH:
                raise GeodesError(f"The expression has more than {_MOST_DEPTH} brackets within each other.")

    def _refused(self, node: ast.AST) -> GeodesError:
        part = (ast.get_source_segment(self.text, node) or type(node).__name__)[:60]
        return GeodesError(
            f"The expression has {part!r}, which is not allowed: use bands, numbers, + - * / **, comparisons, & | ~, "
            f"and {', '.join(_FUNCTIONS)}."
        )

    def _check(self, node: ast.AST, depth: int) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS or depth > _MOST_DEPTH:
            raise GeodesError(f"The expression has more than {_MOST_PARTS} parts, or is deeper than {_MOST_DEPTH}.")
        for inner in self._inner(node):
            self._check(inner, depth + 1)

    def _inner(self, node: ast.AST) -> list[ast.expr]:
        """Return the parts of an allowed node."""
        match node:
            case ast.Name(id=name) if name not in _FUNCTIONS and not name.startswith("__"):
                self._bands[name] = None
                return []
            case ast.Constant(value=bool()):
                pass
            case ast.Constant(value=int() | float() as value) if abs(value) < 1e30 and math.isfinite(value):
                return []
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _SIGNS:
                return [operand]
            case ast.BinOp(op=ast.Pow(), left=left, right=right) if _power(right) is not None:
                return [left]
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _SIGNS:
                return [left, right]
            case ast.Compare(ops=[op], left=left, comparators=[right]) if type(op) in _SIGNS:
                return [left, right]
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if (
                name in _FUNCTIONS and len(args) == _FUNCTIONS[name][0]
            ):
                return args
        raise self._refused(node)

    def _value(self, node: ast.AST, bands: Mapping[Any, Any]) -> Any:
        match node:
            case ast.Name(id=name):
                return bands[name]
            case ast.Constant(value=int() | float() as value):
                return float(value)
            case ast.UnaryOp(op=op, operand=operand):
                return _SIGNS[type(op)](self._value(operand, bands))
            case ast.BinOp(op=ast.Pow(), left=left, right=right):
                return self._value(left, bands) ** _power(right)
            case ast.BinOp(op=op, left=left, right=right) | ast.Compare(ops=[op], left=left, comparators=[right]):
                return _SIGNS[type(op)](self._value(left, bands), self._value(right, bands))
            case ast.Call(func=ast.Name(id=name), args=args):
                return _FUNCTIONS[name][1](*(self._value(a, bands) for a in args))
        raise self._refused(node)


def _power(node: ast.AST) -> float | None:
    """Return a constant exponent of a sensible size."""
    sign = 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, node = -1, node.operand
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and abs(value) <= _MOST_POWER:
            return sign * float(value)
    return None
