"""Sharing, where there is no hub that would do it; with one: tests/integration/hub/test_living.py."""

from __future__ import annotations

import shutil
import socket
import tempfile

import pytest

import geodes_lab as gl
from geodes_lab.results.share import Share


@pytest.fixture
def server(monkeypatch, tmp_path):
    """An environment as a hub's server has it, of which nothing answers."""
    for name, value in {
        "JUPYTERHUB_USER": "ada", "JUPYTERHUB_API_URL": "http://127.0.0.1:1/hub/api", "JUPYTERHUB_API_TOKEN": "known-secret",
        "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:1/user/ada/", "HOME": str(tmp_path),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return tmp_path


def test_no_hub_is_said(monkeypatch):
    monkeypatch.delenv("JUPYTERHUB_USER", raising=False)
    with pytest.raises(gl.GeodesError, match="this is not such a server: log in to a lab"):
        gl.share("a.ipynb")


@pytest.mark.parametrize("name", ["none.ipynb", "notes.txt", "/etc/passwd"])
def test_what_is_no_notebook_of_the_home_is_refused(server, name):
    (server / "notes.txt").write_text("x")
    with pytest.raises(gl.GeodesError, match="is not a notebook in your home"):
        gl.share(name if name.startswith("/") else server / name)


def test_hub_that_is_away_is_said_without_the_token(server):
    (server / "a.ipynb").write_text("{}")
    with pytest.raises(gl.GeodesError, match=r"the group team is refused: .*does not answer \(ConnectError\)") as error:
        gl.share(server / "a.ipynb", groups=["team"])
    assert "known-secret" not in str(error.value)


def test_port_is_not_shared_and_a_socket_is(server, monkeypatch, tmp_path_factory):
    """Whoever has an account on the machine asks a port of loopback; a socket in a closed folder is its owner's."""
    with pytest.raises(
        gl.GeodesError, match=r"Port 5006 is open to every account .*--unix-socket \$GEODES_LAB_RUNTIME"
    ):
        gl.share(5006, groups=["team"])
    folder = tempfile.mkdtemp(dir="/tmp")  # by a short name
    monkeypatch.setenv("GEODES_LAB_RUNTIME", folder)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{folder}/map.sock")
        with pytest.raises(gl.GeodesError, match=r"the group team is refused: .*does not answer \(ConnectError\)"):
            gl.share("$GEODES_LAB_RUNTIME/map.sock", groups=["team"])
    shutil.rmtree(folder)
    with pytest.raises(
        gl.GeodesError, match="is not a notebook in your home: give its path, or the socket of a running app"
    ):
        gl.share("$GEODES_LAB_RUNTIME/map.sock")


def test_invitation_is_not_shown_by_chance():
    one = Share(
        "a.ipynb", (), "http://127.0.0.1/user/ada/nbconvert/html/a.ipynb", "http://127.0.0.1/hub/accept-share?code=abc"
    )
    assert "abc" not in repr(one)
    assert "abc" not in one._repr_html_()
    assert "whoever accepts the invitation" in one._repr_html_()
