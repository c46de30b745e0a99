"""The tables of parameters that param writes into docstrings of classes: later, when nobody waits.

In a kernel param writes one for each class of Panel and holoviews when the class is made. That is a third of the CPU
time of their imports, for texts that are seen only where somebody asks for the help of a class.
"""

from __future__ import annotations

from typing import Any

_AT_ONCE = 20  # classes, at most a twentieth of a second
_without: list[type[Any]] = []
_pagers: list[Any] = []


def postpone() -> None:
    """Let param note the classes, instead of describing them."""
    from param import parameterized

    if parameterized.param_pager is None or _pagers:  # there is no kernel, or it is done
        return
    _pagers.append(parameterized.param_pager)
    parameterized.param_pager = _note


def _note(made: type[Any]) -> str:
    _without.append(made)
    return ""


def write() -> bool:
    """Write some of the tables, as param would have; after the last one param writes them itself again.

    Returns
    -------
    bool
        Whether there are more.
    """
    if not _pagers:
        return False
    for made in _without[:_AT_ONCE]:
        made.__doc__ = f"{(made.__doc__ or '').removesuffix(chr(10))}\n{_pagers[0](made) or ''}"
    del _without[:_AT_ONCE]
    if _without:
        return True
    from param import parameterized

    parameterized.param_pager = _pagers.pop()
    return False
