"""Runs a guide's lines as its reader would, as root of namespaces of its own: nothing outside of them is changed.

``python -m tests.support.hub.guide install GUIDE FOLDER`` runs the lines of the first section, with the network of this machine;
``… rest GUIDE FOLDER`` the others, on a network without anybody else, where two people log in before the last section.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.support.awaiting import awaited
from tests.support.hub.hubs import Browser, Loopback

_BLOCK = re.compile(r"^## (?P<section>.*?)$|(?P<stays><!-- stays -->\n)?^```sh\n(?P<lines>.*?)^```$", re.M | re.S)
ADDRESS = "http://lab.localhost:8000"


def blocks(guide: Path) -> list[tuple[str, str, bool]]:
    """The guide's lines for a shell: section, lines, and whether they run until they are stopped."""
    section, found = "", []
    for match in _BLOCK.finditer(guide.read_text()):
        if match["section"]:
            section = match["section"]
        else:
            found.append((section, match["lines"], bool(match["stays"])))
    return found


class Trial:
    """The lab of the guide, for `Browser`."""

    url = ADDRESS

    def __init__(self, log: Path) -> None:
        self._log = log

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(transport=Loopback(), **options)

    def said(self) -> str:
        return self._log.read_text()


def run(lines: str) -> str:
    """Run some lines; the first that fails ends them."""
    print(f"$ {lines}", flush=True)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    print(done.stdout, flush=True)
    if done.returncode:
        sys.exit(f"These lines failed with {done.returncode}:\n{lines}")
    return done.stdout


def install(guide: Path) -> None:
    """Run the first section."""
    for section, lines, _ in blocks(guide):
        if section == "Install":
            run(lines)


def rest(guide: Path, folder: Path) -> None:
    """Run the other sections; two people log in and start servers."""
    _loopback()
    running: list[subprocess.Popen[bytes]] = []
    log = folder / "log"
    try:
        for section, lines, stays in blocks(guide):
            if section == "Install":
                continue
            if section == "Log in":
                _people(Trial(log))
            if section == "Remove the trial":
                _stop(running)
            if stays:
                print(f"$ {lines}", flush=True)
                with log.open("ab") as said:
                    command = ["bash", "-euo", "pipefail", "-c", lines]
                    running.append(subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True))
            elif section == "Log in":
                homes = run(lines)
                assert "lab-ada" in homes, homes
                assert "lab-grace" in homes, homes
            else:
                run(lines)
        for place in ("/opt/geodes-lab", "/etc/geodes-lab", "/var/lib/geodes-lab", "/home/geodes-lab"):
            assert not Path(place).exists(), place
        assert "GEODES Lab" not in Path("/etc/passwd").read_text()
    except BaseException:
        print(log.read_text()[-6000:] if log.exists() else "", flush=True)
        raise
    finally:
        _stop(running)


def _people(trial: Trial) -> None:
    for name, groups in (("ada", ["geodes/operators"]), ("grace", ["geodes/users"])):
        browser = Browser(trial)  # type: ignore[arg-type]
        page = browser.login(name)
        assert page.status_code == 200, page.text[-2000:]
        assert browser.api("GET", "/user").json()["groups"] == groups
        browser.spawn(name)
        lab = browser.web.get(f"http://{name}.lab.localhost:8000/user/{name}/lab")
        assert lab.status_code == 200, (str(lab.url), lab.text[-2000:])
        assert "jupyter-config-data" in lab.text
        space = browser.web.get(f"http://{name}.lab.localhost:8000/user/{name}/geodes/space")
        assert space.status_code == 200, space.text[-2000:]
        assert "rescue" not in space.text, "the home can be written"
        assert (Path("/home/geodes-lab") / f"lab-{name}" / "notebooks" / "01_ndvi_cube.ipynb").exists()
        print(f"{name} is logged in, and has JupyterLab at {lab.url}", flush=True)


def _stop(running: list[subprocess.Popen[bytes]]) -> None:
    """Ctrl-C, as in their terminals."""
    while running:
        process = running.pop()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        awaited(lambda process=process: process.poll() is not None, 60)


def _loopback() -> None:
    """Turn on this network's only device."""
    up, set_flags = 0x1, 0x8914
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", b"lo", up))


if __name__ == "__main__":
    action, guide, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    install(guide) if action == "install" else rest(guide, folder)
