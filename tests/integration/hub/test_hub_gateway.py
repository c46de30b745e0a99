"""A gateway beside a real hub: people are known by their server's token, and their clusters end with their server."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

import httpx
import pytest

from hub.demo import Visitor, kernel_of
from tests.integration.hub.test_tokens import run
from tests.support.awaiting import awaited
from tests.support.hub import hubbing
from tests.support.hub.gatewaying import free, gateway

MORE = """
c.JupyterHub.authenticator_class = "dummy"  # on loopback, in a test
c.Authenticator.allow_all = True
load_subconfig("HUB/config.d/75-gateway.py")
"""
AUTHENTICATOR = """
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.JupyterHubAuthenticator"
c.JupyterHubAuthenticator.jupyterhub_service_name = "dask-gateway"
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory, sample) -> Iterator[tuple[str, str]]:
    state, folder = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("gateway")
    token, hub_port = secrets.token_hex(16), free()
    told = {"JUPYTERHUB_API_TOKEN": token, "JUPYTERHUB_API_URL": f"http://127.0.0.1:{hub_port}/hub/api"}
    with gateway(folder, AUTHENTICATOR, **told) as address:
        said = {"GEODES_LAB_GATEWAY_URL": address, "GEODES_LAB_GATEWAY_TOKEN": token}
        with hubbing.hub(state, MORE, sample / "catalog" / "catalog.json", hub_port=hub_port, **said) as url:
            yield url, address


def login(url: str, name: str) -> Visitor:
    visitor = Visitor.__new__(Visitor)
    visitor.web = httpx.Client(follow_redirects=True, timeout=60)
    page = visitor.web.get(f"{url}/hub/login")
    field = re.search(r'name="_xsrf"\s+value="([^"]+)"', page.text)[1]
    visitor.web.post(f"{url}/hub/login", data={"username": name, "password": "x", "_xsrf": field})
    visitor.root, visitor.name, visitor.api = url, name, f"{url}/hub/api/users/{name}"
    visitor.web.get(f"{url}/hub/spawn")
    visitor.await_server()
    return visitor


@pytest.mark.slow  # a hub and a gateway; test_gateway and test_kernel have the parts
def test_clusters_are_ones_own_and_end_with_the_server(lab):
    url, address = lab
    ada, bob = login(url, "ada"), login(url, "bob")
    kernel, other = kernel_of(ada), kernel_of(bob)
    assert run(kernel, "client = gl.attach(workers=1); client.submit(abs, -1).result(60)").splitlines()[-1] == "1"
    name = run(kernel, "print(client.cluster.name)")
    dashboard = run(kernel, "print(list(gl.clusters())[0].dashboard)")
    assert dashboard.startswith("/user/ada/proxy/127.0.0.1:"), "behind the login"
    # Her server passes dashboards of the gateway on, and nothing else of another machine's or account's.
    seen = ada.web.get(f"{url}{dashboard}", headers={"Sec-Fetch-Mode": "navigate"})
    assert (seen.status_code, "Dask" in seen.text) == (200, True)
    other_page = f"{url}{dashboard.partition('/clusters/')[0]}/api/v1/clusters/"
    assert ada.web.get(other_page, headers={"Sec-Fetch-Mode": "navigate"}).status_code == 403
    mine = "import os, httpx; u = os.environ['DASK_GATEWAY__ADDRESS'] + '/api/v1/clusters/'; h = {'Authorization': 'jupyterhub ' + os.environ['JUPYTERHUB_API_TOKEN']}"
    assert name in run(kernel, f"{mine}; print(httpx.get(u, headers=h).text)")
    assert run(
        other,
        f"{mine}; print(httpx.get(u, headers=h).text, httpx.get(u + '{name}', headers=h).status_code, httpx.delete(u + '{name}', headers=h).status_code)",
    ) in (
        "{} 403 403",
        "{} 404 404",
    )
    assert httpx.get(f"{address}/api/v1/clusters/").status_code == 401
    # A token of hers that is not her server's may not: it lacks the scope.
    made = ada.web.post(f"{ada.api}/tokens", headers=ada._headers(), json={"scopes": ["read:users!user"]}).json()
    refused = httpx.get(f"{address}/api/v1/clusters/", headers={"Authorization": f"jupyterhub {made['token']}"})
    assert refused.status_code in (401, 403)
    # The server is stopped, as the culler does: the kernel has no time to say goodbye.
    token = run(other, "import os; print(os.environ['JUPYTERHUB_API_TOKEN'])")
    again = {"Authorization": f"jupyterhub {token}"}
    assert httpx.get(f"{address}/api/v1/clusters/", headers=again).json() == {}
    run(kernel, "import geodes_lab.cluster.attached as a; a._keeper._ticks.stop()")
    ada.web.delete(f"{ada.api}/server", headers=ada._headers())
    awaited(lambda: not ada.web.get(ada.api, headers=ada._headers()).json()["servers"], 180)
    fresh = login(url, "ada")
    kernel = kernel_of(fresh)
    awaited(lambda: run(kernel, f"{mine}; print(httpx.get(u, headers=h).text)") == "{}", 30)
