"""One search of several catalogues over HTTP: GEODES's dialect, the lab's own service with a token, and others that fail."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dask
import pytest
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import geodes_lab as gl
from geodes_lab.batch.searching import found as found_again
from geodes_lab.catalog.harvesting import harvested
from geodes_lab.catalog.items import Items
from geodes_lab.cli import main
from hub.services.catalogue.access import Person, Rights
from hub.services.catalogue.app import made
from hub.services.person import Hub
from tests.support.servers.served import served
from tests.support.servers.standin import StandIn, products

L1C, OSO = "PEPS_S2_L1C", "THEIA_OSO_RASTER_L3B"
SHARED, OURS, THEIRS = products(5), products(3, seed=1), products(4, seed=2)
MORE = products(3, seed=3, collection=OSO)


class Alice(Hub):
    def who(self, token: str) -> Person:
        return Person("alice") if token == "a" else Person()


@dataclass
class Noting:
    """An application that notes who asks."""

    application: ASGIApp
    credentials: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.credentials.append(dict(scope["headers"]).get(b"authorization", b"").decode())
        await self.application(scope, receive, send)


@dataclass
class Catalogues:
    geodes: StandIn
    """The service."""
    lab: Noting
    """The lab's, without OSO; its token is Alice's."""
    refusing: Noting
    address: str
    """Of one that refuses every request."""


@pytest.fixture(scope="module")
def catalogues(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogues]:
    folder: Path = tmp_path_factory.mktemp("several")
    with StandIn([*SHARED, *OURS]) as before, dask.config.set(before.settings):
        harvested("geodes", folder / "harvested")

    async def refused(_) -> JSONResponse:
        return JSONResponse({"description": "closed on Sundays"}, 403)

    lab = Noting(made(folder / "harvested", folder / "results", Rights(), Alice()))
    no = Noting(Starlette(routes=[Route("/{path:path}", refused, methods=["GET", "POST"])]))
    with (
        StandIn([*SHARED, *THEIRS, *MORE]) as geodes,
        served(lab) as url,
        served(no) as closed,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TOKEN_OF_ALICE", "a")
        several = {"lab": {"kind": "stac", "url": f"{url}/stac", "token": "TOKEN_OF_ALICE"}}
        with dask.config.set(
            {**geodes.settings, **{f"geodes_lab.catalog.profiles.{k}": v for k, v in several.items()}}
        ):
            yield Catalogues(geodes, lab, no, closed)


def names(items) -> set[str]:
    return {i.id for i in items}


def identifiers(raw) -> set[str]:
    return {r["properties"]["identifier"] for r in raw if r["properties"]["latest"]}


def test_items_say_where_they_are_from_and_where_else_they_are(catalogues):
    both = gl.search(L1C, profile=["lab", "geodes"])
    assert names(i for i in both if i.properties["geodes:catalogue"] == "geodes") == identifiers(SHARED) | identifiers(
        THEIRS
    )
    assert names(i for i in both if i.properties["geodes:catalogue"] == "lab") == identifiers(SHARED) | identifiers(
        OURS
    )
    twice = [i for i in both if "geodes:also_in" in i.properties]
    assert names(twice) == identifiers(SHARED)
    assert len(twice) == 2 * len(identifiers(SHARED))
    assert all({*i.properties["geodes:also_in"], i.properties["geodes:catalogue"]} == {"lab", "geodes"} for i in twice)
    once = both.distinct()
    assert len(once) == len(names(both)) == len(names(once))
    assert {i.properties["geodes:catalogue"] for i in once if i.id in names(twice)} == {"lab"}  # named first
    times = [i.datetime for i in both]
    assert times == sorted(times)
    assert both.missing == []
    assert [c["name"] for c in both.catalogues] == ["lab", "geodes"]
    assert Items.from_dict(json.loads(json.dumps(both.to_dict()))).catalogues == both.catalogues
    assert (
        f"Found in lab: {len(identifiers([*SHARED, *OURS]))}, geodes: {len(identifiers([*SHARED, *THEIRS]))}."
        in repr(both)
    )
    assert ".distinct() keeps one of each" in both._repr_html_()
    # One catalogue alone has none of that.
    assert "geodes:catalogue" not in gl.search(L1C, profile="geodes")[0].properties


def test_limit_counts_the_items_of_all_catalogues_in_their_order(catalogues):
    whole = gl.search(L1C, profile=["geodes", "lab"], sortby="-datetime")
    some = gl.search(L1C, profile=["geodes", "lab"], sortby="-datetime", limit=4)
    assert [(i.id, i.properties["geodes:catalogue"]) for i in some] == [
        (i.id, i.properties["geodes:catalogue"]) for i in whole[:4]
    ]


@pytest.mark.attack
def test_credential_goes_to_its_own_catalogue_alone(catalogues):
    for one in (catalogues.lab, catalogues.refusing):
        one.credentials.clear()
    with pytest.warns(UserWarning, match="closed on Sundays"):
        gl.search(L1C, profile=["lab", catalogues.address, "geodes"], limit=1)
    assert set(catalogues.lab.credentials) == {"token a"}
    assert set(catalogues.refusing.credentials) == {""}
    # Items and messages have the name of an address: one with a secret in it is no name.
    for secret in (catalogues.address.replace("http://", "http://ada:pass@"), f"{catalogues.address}?token=pass"):
        with pytest.raises(gl.GeodesError, match="with a user, a password or a query") as told:
            gl.search(L1C, profile=[secret, "geodes"], limit=1)
        assert "pass@" not in str(told.value)
        assert "=pass" not in str(told.value)


def test_catalogue_that_fails_is_said_and_the_others_are_there(catalogues):
    with pytest.warns(
        UserWarning, match=f"The catalogue {catalogues.address} is missing in this search: .*closed on Sundays"
    ):
        found = gl.search(L1C, profile=["geodes", catalogues.address])
    assert names(found) == identifiers(SHARED) | identifiers(THEIRS)
    assert "closed on Sundays" in found[:1].missing[0]
    assert "Missing is" in repr(found)
    with pytest.raises(gl.GeodesError, match=r"No catalogue can answer this search.*closed on Sundays"):
        gl.search(L1C, profile=[catalogues.address])
    # Nobody reads the warnings of a schedule.
    search = {"collections": L1C, "profile": ["geodes", catalogues.address]}
    with (
        pytest.warns(UserWarning, match="is missing"),
        pytest.raises(gl.GeodesError, match=r"is not complete.*closed on Sundays"),
    ):
        found_again(search, "2015/..")


def test_each_catalogue_is_asked_for_what_it_has(catalogues):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = gl.search([L1C, OSO], profile=["geodes", "lab"])
    assert names(found) == identifiers([*SHARED, *THEIRS, *OURS, *MORE])
    with pytest.warns(UserWarning, match="The catalogue lab is missing.*none of the collections THEIA_OSO"):
        gl.search(OSO, profile=["geodes", "lab"])
    with pytest.raises(gl.GeodesError, match="None of the catalogues geodes, lab has the collection 'PEPS_S2_L1D'"):
        gl.search("PEPS_S2_L1D", profile=["geodes", "lab"])
    with pytest.raises(gl.GeodesError, match=r"No catalogue can answer.*no queryable 'cloud_covr'"):
        gl.search(L1C, profile=["geodes", "lab"], cloud_covr=3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"profile": []}, "0 catalogues"),
        ({"profile": ["geodes", "geodes"]}, "geodes twice"),
        ({"profile": ["geodes", "geodez"]}, "no catalogue profile 'geodez'; did you mean 'geodes'"),
        ({"profile": ["geodes", 3]}, "list of names and addresses"),
        ({"profile": {"geodes"}}, "list of names and addresses"),
        ({"profile": ["geodes"], "url": "https://example.org"}, "not as url="),
        ({"profile": ["geodes"], "limit": 0}, "limit"),
        ({"profile": ["geodes", "http://[::"]}, "is no address"),
    ],
)
def test_what_no_catalogue_understands_is_refused_before_a_request(catalogues, given, said):
    before = len(catalogues.geodes.requests)
    with pytest.raises(gl.GeodesError, match=said):
        gl.search(L1C, **given)
    assert len(catalogues.geodes.requests) == before


def test_other_functions_take_one_catalogue(catalogues):
    with pytest.raises(gl.GeodesError, match=r"gl\.search alone takes several"):
        gl.collections(profile=["geodes", "lab"])


def test_command_line_searches_several(catalogues):
    asked = ["search", L1C, "--profile", "geodes", "--profile", "lab", "--limit", "3"]
    told = CliRunner().invoke(main, asked)
    assert told.exit_code == 0, told.output
    assert told.stdout.splitlines()[0].endswith(("  geodes", "  lab"))
    document = json.loads(CliRunner().invoke(main, [*asked, "--json"]).stdout)
    assert {f["properties"]["geodes:catalogue"] for f in document["features"]} <= {"geodes", "lab"}
    assert [c["failed"] for c in document["geodes:catalogues"]] == ["", ""]
