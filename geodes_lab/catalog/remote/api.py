"""Any STAC API, through pystac-client: what it cannot filter or order is filtered and ordered here."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import pystac
from pystac_client import Client
from pystac_client.exceptions import APIError
from shapely.geometry import mapping

from geodes_lab.catalog.catalogue import Collection
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import FAR_FUTURE, FAR_PAST, Query
from geodes_lab.catalog.remote.http import Refused, caused
from geodes_lab.catalog.remote.normalize import truthful
from geodes_lab.catalog.remote.service import Service
from geodes_lab.errors import GeodesError
from geodes_lab.util import pystac_roots


@dataclass(frozen=True)
class Api:
    """The API of one profile."""

    profile: Profile

    @property
    def name(self) -> str:
        """What sentences call it."""
        return self.profile.name

    @cached_property
    def _service(self) -> Service:
        return Service(self.profile.name, self.profile.url, self.profile.token, files=self.profile.names_files)

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        """Whatever a service answers, what goes wrong is a sentence: pystac and pystac-client raise many kinds."""
        try:
            yield
        except GeodesError:
            raise
        except APIError as error:
            raise self._service.refusal(error) from error
        except Exception as error:
            if said := caused(error):
                raise said from error
            raise GeodesError(
                f"The catalogue {self.name} at {self.profile.url} answers in a way that is not understood "
                f"({type(error).__name__}: {str(error)[:200]}): it is no STAC API, or has a fault."
            ) from error

    @cached_property
    def _client(self) -> Client:
        try:
            found = Client.from_file(self.profile.url, stac_io=self._service.io)
            is_one = found.conforms_to("ITEM_SEARCH")
        except APIError as error:
            raise self._service.refusal(error) from error
        except GeodesError:
            raise
        except Exception as error:  # pystac and pystac-client raise many kinds at what is no catalogue
            if said := caused(error):
                raise said from error
            raise GeodesError(
                f"{self.profile.url} is no STAC API ({error}); check the url of the profile {self.name!r}."
            ) from error
        if not is_one:
            raise GeodesError(
                f"The catalogue {self.name} at {self.profile.url} says that it has no Item Search: give the landing "
                "page of a STAC API, or the path of a static catalogue's catalog.json."
            )
        return found

    @cached_property
    def _collections(self) -> list[pystac.Collection]:
        with self._understood():
            return list(self._client.get_collections())

    def ids(self) -> Sequence[str]:
        """The ids of its collections; the service is asked once."""
        return [c.id for c in self._collections]

    def collections(self) -> list[Collection]:
        """All of its collections; the service is asked once."""
        found = []
        with self._understood():
            for c in self._collections:
                start, end = (c.extent.temporal.intervals or [[None, None]])[0]
                found.append(Collection(c.id, c.title or "", start, end))
        return found

    def queryables(self, collections: Sequence[str]) -> Mapping[str, str]:
        """The properties that may be asked for, where the API lists them; the service is asked once."""
        if not self._client.conforms_to("FILTER"):
            return {}
        try:
            named = self._client.get_merged_queryables(list(collections)).get("properties", {})
            return {k: str(v.get("type", "")) if isinstance(v, dict) else "" for k, v in named.items()}
        except Refused:
            raise
        except Exception:  # a list is a help, not a need: some services say that they have one and have none
            return {}

    def items(self, query: Query) -> list[pystac.Item]:
        """All Items of a query; the API's own pages are followed.

        Raises
        ------
        GeodesError
            If the service fails or refuses, or gives fewer Items than it counts.
        """
        asked: dict[str, Any] = {"collections": list(query.collections), "limit": self.profile.page, "method": "POST"}
        if query.area is not None:
            box = query.area.geom_type == "Polygon" and query.area.equals(query.area.envelope)
            asked |= {"bbox": list(query.area.bounds)} if box else {"intersects": mapping(query.area)}
        if not query.any_time:
            start, end = (None if t in (FAR_PAST, FAR_FUTURE) else t for t in (query.start, query.end))
            asked["datetime"] = (start, end and end - timedelta(microseconds=1))
        if query.ids:
            asked["ids"] = list(query.ids)
        if filters := list(_filters(query.filters)):
            if self._client.conforms_to("FILTER"):
                asked |= {"filter_lang": "cql2-json", "filter": {"op": "and", "args": filters}}
            elif self._client.conforms_to("QUERY"):
                asked["query"] = dict(_queries(query.filters))
        if self._client.conforms_to("SORT"):
            asked["sortby"] = [
                {"field": n if n == "id" else f"properties.{n}", "direction": "desc" if d else "asc"}
                for n, d in query.sortby
            ]
            # Of what is filtered here there may be more to read: then all of it is.
            asked["max_items"] = query.limit if set(asked) & {"filter", "query"} or not query.filters else None
        found: dict[tuple[str, str], pystac.Item] = {}
        counted = None
        with self._understood():
            for page in self._client.search(**asked).pages_as_dicts():
                if counted is None:  # some services count, some of those anew for each page
                    counted = _number(page.get("numberMatched", (page.get("context") or {}).get("matched")))
                for raw in page["features"]:
                    found[raw.get("collection"), raw["id"]] = self._item(raw)
        if asked.get("max_items") is None and counted is not None and len(found) < counted:
            raise GeodesError(
                f"The catalogue {self.name} gave {len(found)} of the {counted} Items that it counts: try again, or "
                "ask for less at once, such as one month."
            )
        return list(found.values())

    def _item(self, raw: dict[str, Any]) -> pystac.Item:
        with warnings.catch_warnings():
            # What pystac cannot bring to STAC 1.1, such as an older storage extension, stays as it is.
            warnings.filterwarnings("ignore", ".*were not migrated", UserWarning)
            return pystac_roots.settle(truthful(pystac.Item.from_dict(raw, root=self._client, preserve_dict=False)))


def _number(said: Any) -> int | None:
    return said if isinstance(said, int) and not isinstance(said, bool) else None


def _filters(filters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """In CQL2 JSON. A property that an Item lacks is no reason to leave it out, as with every other catalogue."""
    found: list[dict[str, Any]] = []
    for name, wanted in filters.items():
        prop = {"property": name}
        if isinstance(wanted, tuple):
            bounds = [(op, v) for op, v in zip((">=", "<="), wanted, strict=True) if v is not None]
            found += [{"op": op, "args": [prop, _plain(v)]} for op, v in bounds]
        elif isinstance(wanted, list):
            found.append({"op": "in", "args": [prop, [_plain(v) for v in wanted]]})
        else:
            found.append({"op": "=", "args": [prop, _plain(wanted)]})
    return found


def _queries(filters: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """In the words of the older Query extension."""
    found = []
    for name, wanted in filters.items():
        if isinstance(wanted, tuple):
            said = {k: _plain(v) for k, v in zip(("gte", "lte"), wanted, strict=True) if v is not None}
        else:
            said = {"in": [_plain(v) for v in wanted]} if isinstance(wanted, list) else {"eq": _plain(wanted)}
        found.append((name, said))
    return found


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
