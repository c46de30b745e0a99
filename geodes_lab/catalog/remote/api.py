"""Any STAC API, with pystac-client: filters and orders that it lacks are applied here."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import pystac
from pystac_client import Client, ItemSearch
from pystac_client.exceptions import APIError
from shapely.geometry import mapping

from geodes_lab.catalog.catalogue import Collection
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import FAR_FUTURE, FAR_PAST, Query
from geodes_lab.catalog.remote.http import Refused, caused
from geodes_lab.catalog.remote.normalize import truthful
from geodes_lab.catalog.remote.service import Service
from geodes_lab.errors import GeodesError
from geodes_lab.util.pystac_safe import roots as pystac_roots

_PAGE = 500
_SEARCH = frozenset({"collections", "ids", "bbox", "intersects", "filter", "filter_lang", "query", "sortby", "fields"})
_PARTS = {"filter-lang": "filter_lang"}


@dataclass(frozen=True)
class Api:
    """The API of one profile."""

    profile: Profile

    @property
    def name(self) -> str:
        """Its name in error messages."""
        return self.profile.name

    @cached_property
    def _service(self) -> Service:
        return Service(self.profile.name, self.profile.url, self.profile.token, files=self.profile.names_files)

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        """Turn any error of a service into a sentence: pystac and pystac-client raise many kinds."""
        try:
            yield
        except GeodesError:
            raise
        except APIError as error:
            raise self._service.refusal(error) from error
        except Exception as error:
            if refusal := caused(error):
                raise refusal from error
            raise GeodesError(
                f"The catalogue {self.name} at {self.profile.url} gave an answer that is not valid STAC "
                f"({type(error).__name__}: {str(error)[:200]}): it is not a STAC API, or it has a fault."
            ) from error

    @cached_property
    def _client(self) -> Client:
        try:
            client = Client.from_file(self.profile.url, stac_io=self._service.io)
            is_one = client.conforms_to("ITEM_SEARCH")
        except APIError as error:
            raise self._service.refusal(error) from error
        except GeodesError:
            raise
        except Exception as error:  # pystac and pystac-client raise many kinds of errors for other documents
            if refusal := caused(error):
                raise refusal from error
            raise GeodesError(
                f"{self.profile.url} is not a STAC API ({error}); check the url of the profile {self.name!r}."
            ) from error
        if not is_one:
            raise GeodesError(
                f"The catalogue {self.name} at {self.profile.url} has no Item Search: give the landing page of a STAC "
                "API, or the path of a static catalogue's catalog.json."
            )
        return client

    @cached_property
    def _collections(self) -> list[pystac.Collection]:
        with self._understood():
            return list(self._client.get_collections())

    def ids(self) -> Sequence[str]:
        """Return the ids of its collections; the service is asked once."""
        return [c.id for c in self._collections]

    def collections(self) -> list[Collection]:
        """Return all of its collections; the service is asked once."""
        result = []
        with self._understood():
            for c in self._collections:
                start, end = (c.extent.temporal.intervals or [[None, None]])[0]
                result.append(Collection(c.id, c.title or "", start, end))
        return result

    def queryables(self, collections: Sequence[str]) -> Mapping[str, str]:
        """Return the properties that a search can use, if the API lists them; the service is asked once."""
        if not self._client.conforms_to("FILTER"):
            return {}
        try:
            named = self._client.get_merged_queryables(list(collections)).get("properties", {})
            return {k: str(v.get("type", "")) if isinstance(v, dict) else "" for k, v in named.items()}
        except Refused:
            raise
        except Exception:  # the list is helpful, not necessary: some services announce one and have none
            return {}

    def items(self, query: Query) -> list[pystac.Item]:
        """Return all Items of a query, from all pages of the API.

        Raises
        ------
        GeodesError
            If the service fails or refuses, or returns fewer Items than it counts.
        """
        parameters: dict[str, Any] = {
            "collections": list(query.collections),
            "limit": self.profile.page,
            "method": "POST",
        }
        if query.area is not None:
            box = query.area.geom_type == "Polygon" and query.area.equals(query.area.envelope)
            parameters |= {"bbox": list(query.area.bounds)} if box else {"intersects": mapping(query.area)}
        if not query.any_time:
            start, end = (None if t in (FAR_PAST, FAR_FUTURE) else t for t in (query.start, query.end))
            parameters["datetime"] = (start, end and end - timedelta(microseconds=1))
        if query.ids:
            parameters["ids"] = list(query.ids)
        if filters := list(_filters(query.filters)):
            if self._client.conforms_to("FILTER"):
                parameters |= {"filter_lang": "cql2-json", "filter": {"op": "and", "args": filters}}
            elif self._client.conforms_to("QUERY"):
                parameters["query"] = dict(_queries(query.filters))
        if self._client.conforms_to("SORT"):
            parameters["sortby"] = [
                {"field": n if n == "id" else f"properties.{n}", "direction": "desc" if d else "asc"}
                for n, d in query.sortby
            ]
            # If filters are applied here, a limit would lose Items: then all pages are read.
            parameters["max_items"] = (
                query.limit if set(parameters) & {"filter", "query"} or not query.filters else None
            )
        by_id: dict[tuple[str, str], pystac.Item] = {}
        counted = None
        with self._understood():
            for page in self._client.search(**parameters).pages_as_dicts():
                if counted is None:  # some services count, some count anew for each page
                    counted = _number(page.get("numberMatched", (page.get("context") or {}).get("matched")))
                for raw in page["features"]:
                    by_id[raw.get("collection"), raw["id"]] = self._item(raw)
        if parameters.get("max_items") is None and counted is not None and len(by_id) < counted:
            raise GeodesError(
                f"The catalogue {self.name} returned {len(by_id)} of the {counted} Items that it counts: try again, "
                "or search for less at once, such as one month."
            )
        return list(by_id.values())

    def documents(self, body: Mapping[str, Any], when: str, most: int) -> list[dict[str, Any]]:
        """Return the Items of a search as STAC writes it in JSON, as the API gives them; at most so many.

        Parameters
        ----------
        body
            Such as ``{"collections": ["PEPS_S2_L1C"], "bbox": [1, 43, 2, 44], "filter": {…}}``.
        when
            The interval, instead of that of the body.
        most
            Further pages are not asked for.

        Raises
        ------
        GeodesError
            If the service fails or refuses, or the body has parts that no search has.
        """
        parts = {_PARTS.get(name, name): value for name, value in body.items()}
        if strange := sorted(set(parts) - _SEARCH):
            raise GeodesError(f"{strange[0]!r} is not a part of a search in STAC: remove it.")
        address = f"{self.profile.url.rstrip('/')}/search"
        with self._understood():
            search = ItemSearch(
                address, stac_io=self._service.io, method="POST", datetime=when, limit=_PAGE, max_items=most, **parts
            )
            return list(search.items_as_dicts())

    def _item(self, raw: dict[str, Any]) -> pystac.Item:
        with warnings.catch_warnings():
            # pystac cannot convert everything to STAC 1.1, such as an older storage extension: it stays unchanged.
            warnings.filterwarnings("ignore", ".*were not migrated", UserWarning)
            return pystac_roots.settle(truthful(pystac.Item.from_dict(raw, root=self._client, preserve_dict=False)))


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _filters(filters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Write filters in CQL2 JSON. A property that an Item lacks does not exclude it, as in every other catalogue."""
    conditions: list[dict[str, Any]] = []
    for name, wanted in filters.items():
        prop = {"property": name}
        if isinstance(wanted, tuple):
            bounds = [(op, v) for op, v in zip((">=", "<="), wanted, strict=True) if v is not None]
            conditions += [{"op": op, "args": [prop, _plain(v)]} for op, v in bounds]
        elif isinstance(wanted, list):
            conditions.append({"op": "in", "args": [prop, [_plain(v) for v in wanted]]})
        else:
            conditions.append({"op": "=", "args": [prop, _plain(wanted)]})
    return conditions


def _queries(filters: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Write filters for the older Query extension."""
    queries = []
    for name, wanted in filters.items():
        if isinstance(wanted, tuple):
            condition = {k: _plain(v) for k, v in zip(("gte", "lte"), wanted, strict=True) if v is not None}
        else:
            condition = {"in": [_plain(v) for v in wanted]} if isinstance(wanted, list) else {"eq": _plain(wanted)}
        queries.append((name, condition))
    return queries


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
