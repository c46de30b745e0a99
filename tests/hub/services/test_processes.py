"""Several processes of a service behind one socket: none is missed for long, and none outlives the others."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
import pytest

from hub.services.slots import Slots
from tests.support.awaiting import awaited
from tests.support.paths import TOP

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several processes need Linux")
# Each says who answers; the other addresses end it as an application that does not start does, or as a bug in C.
SERVICE = """
import os, signal
from hub.services import processes, serving
processes.begin(2, 0)
async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/exit":
        os._exit(3)
    text = f"{os.getpid()} {processes.number()}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": text})
serving.serve(application, 0)
"""


@contextmanager
def running() -> Iterator[tuple[subprocess.Popen[str], str]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        environment = {**os.environ, "PYTHONPATH": str(TOP), "GEODES_LAB_LISTEN": str(listening.fileno())}
        environment.pop("JUPYTERHUB_API_TOKEN", None)
        command = [sys.executable, "-c", SERVICE]
        with subprocess.Popen(
            command, env=environment, pass_fds=[listening.fileno()], stderr=subprocess.PIPE, text=True
        ) as keeper:
            try:
                yield keeper, f"http://127.0.0.1:{listening.getsockname()[1]}"
            finally:
                keeper.kill()


def those(keeper: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(keeper.pid).children()


def gone(several: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(several, timeout=60)[1]


def test_one_that_is_killed_starts_again_and_nothing_outlives_a_keeper_that_is_killed():
    with running() as (keeper, url), httpx.Client(timeout=60) as client:
        first, number = map(int, client.get(url).text.split())
        assert number == 2
        awaited(lambda: len(those(keeper)) == 2)
        os.kill(first, signal.SIGKILL)
        assert {int(client.get(url).text.split()[0]) for _ in range(5)}.isdisjoint({first})
        awaited(lambda: len(those(keeper)) == 2 and first not in [p.pid for p in those(keeper)])
        left = those(keeper)
        keeper.kill()
        assert gone(left)
        assert "ended by SIGKILL: it starts again" in keeper.stderr.read()


@pytest.mark.parametrize("how", [signal.SIGINT, None])  # SIGTERM: catalogue/test_catalogue_processes.py
def test_all_end_together(how):
    with running() as (keeper, url), httpx.Client(timeout=60) as client:
        client.get(url)
        left = those(keeper)
        if how is None:  # one says that the service cannot be: whoever started it is told
            with pytest.raises(httpx.HTTPError):
                client.get(f"{url}/exit")
        else:
            keeper.send_signal(how)
        assert keeper.wait(60) == (3 if how is None else 0)
        assert gone(left)


def test_places_are_of_all_processes_and_come_back_when_one_ends():
    common = os.memfd_create("common")
    try:
        slots = Slots("requests", common)
        assert [slots.take("ada", 3) for _ in range(2)] == [0, 1]
        code = "import sys; from hub.services.slots import Slots; s = Slots('requests', int(sys.argv[1]))\n"
        code += "print(s.take('ada', 3), s.take('ada', 3), s.take('bob', 3), Slots('x', int(sys.argv[1])).take('ada', 3), flush=True); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-c", code, str(common)], pass_fds=[common], stdin=subprocess.PIPE, text=True,
            stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(TOP)},
        ) as other:  # fmt: skip
            assert other.stdout.readline().split() == ["2", "None", "0", "0"]
            assert slots.take("ada", 3) is None
            other.kill()
            other.wait(60)
        assert slots.take("ada", 3) == 2
        slots.give("ada", 1)
        assert slots.take("ada", 3) == 1
    finally:
        os.close(common)
