"""The parts of an Item that a client asks for, and no others."""

from __future__ import annotations

from typing import Any

_ALWAYS = {"type", "stac_version", "id", "collection"}
DEFAULT = {"type", "stac_version", "id", "collection", "geometry", "bbox", "links", "assets", "properties.datetime"}
"""What is given where a client says that it wants to say what it wants, and then does not."""


def chosen(item: dict[str, Any], included: set[str], excluded: set[str]) -> dict[str, Any]:
    """Leave in an Item what is asked for.

    Parameters
    ----------
    item
        As STAC has it.
    included, excluded
        Names such as ``assets`` or ``properties.eo:cloud_cover``. None included: all are, but those excluded. Some
        included: those alone; of two that concern the same part the longer name counts, of equal ones the included.
    """
    if not included and not excluded:
        return item
    rules = {tuple(_split(name)): False for name in excluded}
    rules |= {tuple(_split(name)): True for name in (included | _ALWAYS if included else ())}
    return _some(item, (), rules, not included)


def _some(
    place: dict[str, Any], path: tuple[str, ...], rules: dict[tuple[str, ...], bool], wanted: bool
) -> dict[str, Any]:
    found = {}
    for key, value in place.items():
        here = (*path, key)
        is_wanted = rules.get(here, wanted)
        if isinstance(value, dict) and any(len(r) > len(here) and r[: len(here)] == here for r in rules):
            below = _some(value, here, rules, is_wanted)
            if below or is_wanted:
                found[key] = below
        elif is_wanted:
            found[key] = value
    return found


def _split(name: str) -> list[str]:
    # A property may have a point in its name, the parts before it have none.
    head, _, rest = name.partition(".")
    return [head, rest] if rest else [head]
