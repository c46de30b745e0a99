"""Several catalogues in one search: each is asked for what it has, and each Item says which of them it is from."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pystac

from geodes_lab.catalog import profile as profiles
from geodes_lab.catalog.catalogue import Catalogue
from geodes_lab.catalog.items import ALSO_IN, CATALOGUE, CATALOGUES, Items, product
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import Query
from geodes_lab.errors import GeodesError, shown

_MOST = 16  # catalogues of a search
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Outcome:
    """What became of one catalogue of a search."""

    name: str
    """The name of its profile, or its address."""
    found: int = 0
    """How many of its Items match, at most the limit; fewer of them may be in the result."""
    failed: str = ""
    """Why it is missing: a sentence; empty: it is not."""


def chosen(several: Sequence[str | os.PathLike[str]], url: Any = None) -> dict[str, Profile]:
    """Return the catalogues of a search, by the name that its Items have; no I/O.

    Parameters
    ----------
    several
        Names of profiles, addresses, or paths of a ``catalog.json`` or of a harvested folder.
    url
        What was given beside them, which is refused.

    Raises
    ------
    GeodesError
        If there is none, one twice, more than 16, or no profile of that name.
    """
    if url is not None:
        raise GeodesError("Give the addresses in profile= too, such as profile=['geodes', 'https://…'], not as url=.")
    if not isinstance(several, (list, tuple)):
        raise GeodesError(f"profile is a name, or a list of names and addresses, not {several!r}.")
    if not several or len(several) > _MOST:
        raise GeodesError(f"profile has {len(several)} catalogues: give one name, or a list of 1 to {_MOST}.")
    there: dict[str, Profile] = {}
    for one in several:
        if not isinstance(one, (str, os.PathLike)):
            raise GeodesError(f"profile is a name, or a list of names and addresses, not {one!r}.")
        text = os.fspath(one)
        is_place = not isinstance(one, str) or "/" in text or text.endswith(".json")
        name = _plain(text) if is_place else text
        if name in there:
            raise GeodesError(f"profile names the catalogue {name} twice: give it once.")
        there[name] = profiles.load(url=text) if is_place else profiles.load(text)
    return there


def searched(
    several: dict[str, Profile],
    opened: Callable[[Profile], Catalogue],
    asked: Callable[[Catalogue, Sequence[str]], Query],
    found: Callable[[Catalogue, Query], list[pystac.Item]],
    wanted: Sequence[str],
) -> Items:
    """Search several catalogues side by side.

    A catalogue that fails does not hide what the others have: a warning names it, and so does the result.

    Parameters
    ----------
    several
        The catalogues, by name.
    opened, asked, found
        Opens one; makes its query for those of the collections that it has, or refuses it; and searches it.
    wanted
        The ids of the collections. Each must be in one of the catalogues.

    Raises
    ------
    GeodesError
        If no catalogue can answer, or no catalogue has one of the collections.
    """
    catalogues = {name: opened(profile) for name, profile in several.items()}
    failed: dict[str, GeodesError] = {}

    def ready(name: str) -> tuple[list[str], Query | None]:
        catalogue = catalogues[name]
        known = {*catalogue.ids(), *catalogue.profile.renamed}
        there = [w for w in wanted if w in known]
        return there, asked(catalogue, there) if there else None

    plans = _each(catalogues, ready, failed)
    missing = [w for w in wanted if not any(w in there for there, _ in plans.values())]
    if missing and not failed:  # else the catalogue that failed may have it
        raise GeodesError(
            f"None of the catalogues {', '.join(several)} has the collection {missing[0]!r}: "
            "gl.collections(profile=…) lists those of one."
        )
    queries = {name: query for name, (_, query) in plans.items() if query is not None}
    for name in plans.keys() - queries.keys():
        failed[name] = GeodesError(f"It has none of the collections {', '.join(wanted)}.")
    answers = _each(queries, lambda name: found(catalogues[name], queries[name]), failed)
    if not answers:
        why = " ".join(_said(name, failed[name]) for name in several)
        raise GeodesError(f"No catalogue can answer this search. {why}")
    if missing:
        warnings.warn(f"No catalogue that answers has the collection {', '.join(missing)}.", stacklevel=3)
    for name in several:
        if name in failed:
            warnings.warn(f"{_said(name, failed[name])} The other catalogues were searched.", stacklevel=3)
    outcomes = [Outcome(n, len(answers.get(n, ())), str(failed[n]) if n in failed else "") for n in several]
    items = [_marked(item, name) for name in several for item in answers.get(name, ())]
    _tell_doubles(items)
    query = next(iter(queries.values()))  # order and limit are the same in all
    return Items(query.sorted(items)[: query.limit], extra_fields={CATALOGUES: [asdict(o) for o in outcomes]})


def _each(names: Collection[str], do: Callable[[str], _Result], failed: dict[str, GeodesError]) -> dict[str, _Result]:
    """Do something for each catalogue at the same time; note the errors of those that fail."""
    results: dict[str, _Result] = {}
    with ThreadPoolExecutor(max(len(names), 1)) as pool:
        coming = {name: pool.submit(do, name) for name in names}
        for name, future in coming.items():
            try:
                results[name] = future.result()
            except GeodesError as error:
                failed[name] = error
    return results


def _said(name: str, error: GeodesError) -> str:
    return f"The catalogue {shown(name)} is missing in this search: {error}"


def _marked(item: pystac.Item, name: str) -> pystac.Item:
    # A catalogue may have written these itself.
    item.properties.pop(ALSO_IN, None)
    item.properties[CATALOGUE] = name
    return item


def _tell_doubles(items: Sequence[pystac.Item]) -> None:
    """Tell each product of several catalogues, which is known by its name, where else it is."""
    places: dict[str, list[str]] = {}
    for item in items:
        there = places.setdefault(product(item), [])
        if item.properties[CATALOGUE] not in there:
            there.append(item.properties[CATALOGUE])
    for item in items:
        if others := [n for n in places[product(item)] if n != item.properties[CATALOGUE]]:
            item.properties[ALSO_IN] = others


def _plain(address: str) -> str:
    """Return the name of an address; one with what may be secret is refused, since Items and messages have its name."""
    if "://" not in address:
        return address
    try:
        url = urlsplit(address)
    except ValueError as error:
        raise GeodesError(
            f"profile has {address[:100]!r}, which is no address ({error}): write it as https://host/path."
        ) from None
    if "@" in url.netloc or url.query or url.fragment:
        raise GeodesError(
            f"profile has an address at {url.hostname} with a user, a password or a query: make a profile of it, whose "
            "token names the environment variable of the secret."
        )
    return address.rstrip("/")
