"""The same files on JupyterHub 5.5, which zero-to-jupyterhub ships: an environment of its own, a hub, a login, a server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hub.hubs import Browser, Person, Production, needs_accounts
from tests.support.hub.provider import Provider
from tests.support.paths import TOP

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def older() -> Path:
    """The lab's environment but with JupyterHub 5.5; made once, from the lock file."""
    folder = TOP / "build" / "jupyterhub5"
    python = folder / "bin" / "python"
    ready = folder / ".ready"
    lock = (TOP / "requirements.lock").read_text()
    if not ready.exists() or ready.read_text() != lock:
        uv = str(Path(sys.prefix) / "bin" / "uv")
        pins = re.sub(r" *\\\n\s+--hash=\S+", "", lock)
        pins = re.sub(r"^jupyterhub==\S+", "jupyterhub==5.5.*", pins, flags=re.M)
        wanted = TOP / "build" / "jupyterhub5.txt"
        wanted.write_text(pins)
        environment = {**os.environ, "VIRTUAL_ENV": str(folder)}
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--compile-bytecode", "--no-deps", "-r", str(wanted)],
            check=True,
            env=environment,
        )
        subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", "-e", str(TOP)], check=True, env=environment)
        ready.write_text(lock)
    return python


@needs_accounts
def test_host_names_of_people_and_services_on_version_5(older, sample):
    from hub.front import proxy

    command = f"c.ConfigurableHTTPProxy.command = {proxy.command()!r}"
    with Provider() as provider:
        provider.put("alice", groups=["/geodes/theia"])
        file = {
            "login": {"kind": "oidc", "oidc": provider.settings()},
            "servers": {"kind": "accounts"},
            "profiles": {"S": {"title": "Small", "cores": 1, "memory": "2 GiB"}},
            "groups": {"geodes": {"profiles": ["S"]}},
            "catalogue": {"static": str(sample / "catalog" / "catalog.json")},
        }
        with Production(file, config=command, python=older, host="lab.localhost") as hub:
            assert "Running JupyterHub version 5.5" in hub.said()
            browser = Browser(hub)
            assert browser.login("alice").status_code == 200
            page = browser.web.get(f"{hub.url}/")
            assert str(page.url) == f"{hub.at('home--service')}/services/home/"
            assert "Welcome, alice" in browser.web.get(f"{page.url}login").text
            browser.spawn("alice")
            page = browser.web.get(f"{hub.at('alice')}/hub/user-redirect/lab")
            assert str(page.url).startswith(f"{hub.at('alice')}/user/alice/lab"), page.url
            assert page.status_code == 200
            for cookie in browser.web.cookies.jar:
                hers = cookie.name not in ("_xsrf", "jupyterhub-session-id") and "lab.localhost" in cookie.domain
                assert cookie.name.startswith("__Host-") or not hers, cookie.name


@needs_accounts
def test_hub_of_version_5_runs_the_same_files(older, sample, monkeypatch):
    version = subprocess.check_output([str(older), "-m", "jupyterhub", "--version"], text=True).strip()
    assert version.startswith("5.5")
    from hub.front import proxy

    command = f"c.ConfigurableHTTPProxy.command = {proxy.command()!r}"
    with Provider() as provider:
        provider.put("alice", groups=["/geodes/theia"])
        provider.put("nora", email="nora@example.org")
        file = {
            "login": {"kind": "oidc", "oidc": provider.settings(refresh="1 s")},
            "servers": {"kind": "accounts"},
            "profiles": {"S": {"title": "Small", "cores": 1, "memory": "2 GiB"}},
            "groups": {"geodes": {"profiles": ["S"]}, "operators": {"admin": True}},
            "catalogue": {"static": str(sample / "catalog" / "catalog.json")},
            "datalake": {"folder": str(sample / "datalake"), "gate": True},
        }
        with Production(file, config=command, python=older) as hub:
            assert "Running JupyterHub version 5.5" in hub.said()
            alice = Person(hub, "alice")
            assert alice.run("print(6 * 7)") == "42"
            assert alice.run("import jupyterhub; print(jupyterhub.__version__)").startswith("5.5")
            page = Browser(hub).login("nora")
            assert page.status_code == 403
            assert "did not send your groups" in page.text
            assert (
                "alice"
                in Browser(hub, "en")
                .web.get(f"{hub.url}/services/home/", headers={"Authorization": f"token {alice.token}"})
                .text
            )
            # Out of the groups is out, by token too: before 6.1 that was always so.
            provider.put("alice", groups=["elsewhere"])
            import time

            deadline = time.monotonic() + 20
            while alice.browser.api("GET", "/user").status_code == 200 and time.monotonic() < deadline:
                time.sleep(0.3)
            assert alice.browser.api("GET", "/user").status_code in (401, 403)
            assert "not recognized" not in hub.said(), "no setting that this version does not know"


DATABASE = """
import logging, sys
from jupyterhub import dbutil, orm

what, url = sys.argv[1:]
if what == "upgrade":
    dbutil.upgrade_if_needed(url, log=logging.getLogger())
session = orm.new_session_factory(url)()
if what == "make":
    session.add(orm.User(name="alice"))
    session.commit()
print(*(user.name for user in session.query(orm.User)))
"""


def test_database_of_version_5_is_upgraded_and_only_its_copy_leads_back(older, tmp_path):
    """What docs/operations/chart.md tells of an upgrade and of a rollback."""
    url = f"sqlite:///{tmp_path}/hub.sqlite"

    def open_(python: str | Path, what: str = "open") -> subprocess.CompletedProcess[str]:
        path = {"PATH": f"{Path(python).parent}:{os.environ['PATH']}"}  # alembic is called by its name
        command = [str(python), "-c", DATABASE, what, url]
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **path})

    assert open_(older, "make").stdout.strip() == "alice"
    refused = open_(sys.executable)
    assert refused.returncode
    assert "Backup your database and run `jupyterhub upgrade-db`" in refused.stderr
    assert open_(older).stdout.strip() == "alice", "nothing was lost"
    assert open_(sys.executable, "upgrade").stdout.strip() == "alice"
    assert open_(sys.executable).stdout.strip() == "alice"
    assert "DatabaseSchemaMismatch" in open_(older).stderr, "there is no way back …"
    (kept,) = tmp_path.glob("hub.sqlite.*")
    kept.replace(tmp_path / "hub.sqlite")
    assert open_(older).stdout.strip() == "alice", "… but the copy"
