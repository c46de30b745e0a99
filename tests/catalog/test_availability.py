"""Products on tape: the portal is asked, and it is said before anything is computed."""

from __future__ import annotations

import dask
import pytest

import geodes_lab as gl
from geodes_lab.errors import GeodesError
from tests.support.servers.standin import StandIn, products

ITEMS = products(12)
TAPE = ITEMS[4]["properties"]["identifier"]


@pytest.fixture(params=["batch", "one by one"])
def service(request, monkeypatch):
    monkeypatch.setenv("GEODES_API_KEY", "secret")
    old = request.param == "one by one"
    with (
        StandIn(ITEMS, on_tape=frozenset([TAPE]), old_availability=old) as found,
        dask.config.set(found.settings | {"geodes_lab.catalog.profile": "geodes"}),
    ):
        yield found


def test_table_says_disk_or_tape_and_how_to_ask(service):
    items = gl.search("PEPS_S2_L1C", latest=False)
    table = gl.availability(items)
    assert list(table.index) == [i.id for i in items]
    assert table["state"].value_counts().to_dict() == {"disk": 11, "tape": 1}
    assert f"explorer of {service.portal}, where its name is {TAPE}" in table.loc[TAPE, "advice"]


def test_product_on_tape_is_refused_before_dask_starts(service):
    item = gl.search("PEPS_S2_L1C", ids=TAPE, latest=False)[0]
    with pytest.raises(GeodesError, match=f"{TAPE} is on tape.*explorer"):
        gl.open_product(item)


def test_products_of_other_catalogues_and_of_the_mirror_are_not_asked_for(service, on_disk):
    asked = len(service.requests)
    local = gl.search("PEPS_S2_L1C", profile="local", limit=2)
    assert gl.availability(local)["state"].tolist() == ["disk", "disk"]
    foreign = local[0].clone()
    foreign.properties.pop("geodes:urn")
    foreign.assets["product"].href = "https://example.org/a.zip"
    assert gl.availability([foreign])["state"].tolist() == ["unknown"]
    assert len(service.requests) == asked
    assert gl.availability([]).empty


@pytest.mark.parametrize("service", ["one by one"], indirect=True)
def test_wrong_key_is_said(service, monkeypatch):
    monkeypatch.setenv("GEODES_API_KEY", "another")
    items = gl.search("PEPS_S2_L1C", limit=2)
    with pytest.raises(GeodesError, match="set GEODES_API_KEY"):
        gl.availability(items)


@pytest.mark.parametrize("service", ["batch"], indirect=True)
def test_answer_in_a_new_form_is_said(service, monkeypatch):
    items = gl.search("PEPS_S2_L1C", limit=2)
    monkeypatch.setattr(service, "availability", lambda body: b'{"result": []}')
    with pytest.raises(GeodesError, match="the service has changed"):
        gl.availability(items)
