"""The trial that `helm test` runs, run here for real: a hub for several people, whose provider has never heard of the robot."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from geodes_lab.policy.lab import Lab
from geodes_lab.policy.people import NAME, ROBOT
from geodes_lab.policy.reading import Refused, read
from hub.trial import SCOPES
from tests.support.hub.gatewaying import gateway
from tests.support.hub.hubs import Browser, Production, needs_accounts
from tests.support.hub.provider import Provider

TOKEN = secrets.token_hex(32)


def production(provider: Provider, sample: Path, host: str = "") -> Production:
    provider.put("alice", groups=["/geodes"])
    file = {
        "login": {"kind": "oidc", "oidc": provider.settings(refresh="1 s")},
        "servers": {"kind": "accounts"},
        "profiles": {"S": {"title": "Small", "cores": 2, "memory": "3 GiB"}},
        "groups": {"geodes": {"profiles": ["S"]}, "operators": {"admin": True}},
        "trial": "geodes",
        "catalogue": {"static": str(sample / "catalog" / "catalog.json")},
        "datalake": {"folder": str(sample / "datalake"), "gate": True},
    }
    return Production(file, host=host, environment={"GEODES_LAB_TRIAL_TOKEN": TOKEN})


@pytest.fixture(scope="module")
def hub(sample) -> Iterator[Production]:
    with Provider() as provider, production(provider, sample) as running:
        yield running


def trial(hub: Production, token: str = TOKEN, collection: str = "PEPS_S2_L1C") -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "hub.trial",
        "--hub",
        f"{hub.url}/hub/api",
        "--public",
        hub.url,
        "--collection",
        collection,
    ]
    return subprocess.run(
        command, env={**os.environ, "JUPYTERHUB_API_TOKEN": token}, capture_output=True, text=True, timeout=280
    )


@pytest.mark.slow  # half a minute: server, cluster and product
@needs_accounts
def test_robot_has_a_server_a_cluster_and_a_product(hub):
    done = trial(hub)
    assert done.returncode == 0, done.stderr + hub.said()[-3000:]
    said = done.stdout.splitlines()
    assert [line.split(" ")[0] for line in said] == ["robot@lab", "its", "JupyterHub", "a", "opened", "its", "the"], (
        done.stdout
    )
    assert said[3].startswith("a cluster of one worker computes: local")
    assert "S2" in said[4]
    assert "(16, 16)" in said[4]


@needs_accounts
@pytest.mark.slow
def test_robot_finds_its_own_host_name_at_the_proxy(sample):
    """As `helm test` does in the cluster, where the lab's names may lead elsewhere or nowhere."""
    with Provider() as provider, production(provider, sample, host="lab.localhost") as hub:
        command = [
            sys.executable,
            "-m",
            "hub.trial",
            "--hub",
            f"http://127.0.0.1:{hub.ports['hub']}/hub/api",
        ]
        command += ["--public", f"https://127.0.0.1:{hub.port}", "--address", hub.url, "--collection", "PEPS_S2_L1C"]
        trusted = dict.fromkeys(
            ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "WEBSOCKET_CLIENT_CA_BUNDLE"), str(hub.folder / "authority.pem")
        )
        environment = {**os.environ, **trusted, "JUPYTERHUB_API_TOKEN": TOKEN}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr + hub.said()[-3000:]
        assert done.stdout.splitlines()[-1] == "the lab works"


@needs_accounts
@pytest.mark.slow
def test_robots_cluster_is_the_gateways_where_there_is_one(sample, tmp_path):
    """As on Kubernetes, but for the backend, which starts processes."""
    token = secrets.token_hex(32)
    with Provider() as provider:
        hub = production(provider, sample)
        told = {
            "JUPYTERHUB_API_TOKEN": token,
            "JUPYTERHUB_API_URL": f"http://127.0.0.1:{hub.ports['hub']}/hub/api",
            "GEODES_LAB_USAGE": f"http://127.0.0.1:{hub.ports['usage']}/services/usage",
        }
        with gateway(
            tmp_path, 'c.DaskGateway.authenticator_class = "dask_gateway_server.auth.JupyterHubAuthenticator"', **told
        ) as address:
            hub.extra |= {"GEODES_LAB_GATEWAY_URL": address, "GEODES_LAB_GATEWAY_TOKEN": token}
            with hub:
                done = trial(hub)
                assert done.returncode == 0, done.stdout + done.stderr
                assert "a cluster of one worker computes: gateway" in done.stdout
                assert "opened S2" in done.stdout


@pytest.mark.slow  # two trials
@needs_accounts
def test_what_does_not_work_is_said(hub):
    done = trial(hub, collection="NO_SUCH")
    assert done.returncode == 1
    assert "NO_SUCH" in done.stderr
    assert "its server has been stopped" in done.stdout, "whatever happened"
    refused = trial(hub, token="f" * 64)
    assert refused.returncode == 1
    assert refused.stderr.startswith("Logging in failed: The robot was not made: 403"), refused.stderr


# Of the long ones: a hub of its own, 35 s.
@pytest.mark.slow
@needs_accounts
def test_service_of_the_robot_may_nothing_to_others(hub):
    browser = Browser(hub)
    browser.login("alice")
    browser.spawn("alice")
    head = {"Authorization": f"token {TOKEN}"}
    for method, path in (
        ("GET", "users/alice"),
        ("POST", "users/alice/tokens"),
        ("DELETE", "users/alice/server"),
        ("POST", "users/bob"),
    ):
        assert httpx.request(method, f"{hub.url}/hub/api/{path}", headers=head, json={}).status_code in (403, 404)
    assert httpx.get(f"{hub.url}/user/alice/api/status", headers=head).status_code == 403


def test_robot_is_nobody_that_a_provider_can_name():
    assert not NAME.fullmatch(ROBOT)
    assert all(scope.endswith(f"!user={ROBOT}") for scope in SCOPES)
    with pytest.raises(Refused, match="trial names the group 'nobody'"):
        read(Lab, {"trial": "nobody"}, "")
