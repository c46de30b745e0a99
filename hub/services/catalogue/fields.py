"""The parts of an Item that a client requests."""

from __future__ import annotations

from typing import Any

_ALWAYS = {"type", "stac_version", "id", "collection"}
DEFAULT = {"type", "stac_version", "id", "collection", "geometry", "bbox", "links", "assets", "properties.datetime"}
"""The default, if a client announces a selection and then gives none."""


def chosen(item: dict[str, Any], included: set[str], excluded: set[str]) -> dict[str, Any]:
    """Return the requested parts of an Item.

    Parameters
    ----------
    item
        An Item in STAC's form.
    included, excluded
        Names such as ``assets`` or ``properties.eo:cloud_cover``. Without included names: all except the excluded ones.
        Otherwise only the included ones; if two names concern the same part, the longer one takes precedence, and
        inclusion if they are equal.
    """
    if not included and not excluded:
        return item
    rules = {tuple(_split(name)): False for name in excluded}
    rules |= {tuple(_split(name)): True for name in (included | _ALWAYS if included else ())}
    return _some(item, (), rules, not included)


def _some(
    place: dict[str, Any], path: tuple[str, ...], rules: dict[tuple[str, ...], bool], wanted: bool
) -> dict[str, Any]:
    selected = {}
    for key, value in place.items():
        here = (*path, key)
        is_wanted = rules.get(here, wanted)
        if isinstance(value, dict) and any(len(r) > len(here) and r[: len(here)] == here for r in rules):
            below = _some(value, here, rules, is_wanted)
            if below or is_wanted:
                selected[key] = below
        elif is_wanted:
            selected[key] = value
    return selected


def _split(name: str) -> list[str]:
    # A property's name may contain a dot, the parts before it may not.
    head, _, rest = name.partition(".")
    return [head, rest] if rest else [head]
