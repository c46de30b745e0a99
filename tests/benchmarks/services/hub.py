"""The hub under load: ours beside a bare JupyterHub in the same run, with a spawner that starts nothing; abandoned websockets; a hub
that is killed under it; real users who each run the NDVI notebook with a cluster of their own; and what passes through the gate before the datalake.

``python -m tests.benchmarks.services.hub [--users 500] [--real 8]``
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from geodes_lab.sample import build, edition
from tests.support.hub.hubs import Person, Production, free_port
from tests.support.hub.provider import Provider
from tests.support.paths import TOP

_AT_ONCE = 20  # starts under way together

_NOTHING = """
from jupyterhub.spawner import Spawner as _Spawner

class Nothing(_Spawner):
    '''Starts nothing: its servers are one small HTTP server of the benchmark.'''

    def load_state(self, state):
        super().load_state(state)
        self.there = state.get('there', False)

    def get_state(self):
        return {{**super().get_state(), 'there': getattr(self, 'there', False)}}

    async def start(self):
        self.there = True
        return ('127.0.0.1', {port})

    async def poll(self):
        return None if getattr(self, 'there', False) else 0

    async def stop(self, now=False):
        self.there = False

c.JupyterHub.spawner_class = Nothing
c.JupyterHub.authenticator_class = 'dummy'
c.DummyAuthenticator.allow_all = True
c.DummyAuthenticator.password = {password!r}
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.cleanup_servers = False
c.JupyterHub.load_groups = {{'geodes': {{'users': {users!r}}}}}
c.JupyterHub.log_level = 'WARN'
if not isinstance(c.JupyterHub.services, list):
    c.JupyterHub.services = []
    c.JupyterHub.load_roles = []
c.JupyterHub.services.append({{'name': 'load', 'api_token': {token!r}}})
c.JupyterHub.load_roles.append({{'name': 'load', 'services': ['load'], 'scopes': ['admin:users', 'admin:servers', 'list:users']}})
"""


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"upgrade: websocket" in head.lower():
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
                await writer.drain()
                await reader.read()
                return
            writer.write(b"HTTP/1.1 200 OK\r\nX-JupyterHub-Version: 6.1.1\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def backend(port: int) -> None:
    """One small server that stands for all users'."""

    async def run() -> None:
        async with await asyncio.start_server(_answer, "127.0.0.1", port, backlog=1024) as server:
            await server.serve_forever()

    asyncio.run(run())


class Bare:
    """JupyterHub as it comes, with the same spawner."""

    def __init__(self, config: str) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="bare-hub-")
        self.port, hub, proxy_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        from hub.front import proxy

        path = Path(self.folder.name) / "config.py"
        path.write_text(
            f"c = get_config()\nc.JupyterHub.bind_url = {self.url!r}\nc.JupyterHub.hub_bind_url = 'http://127.0.0.1:{hub}'\n"
            f"c.ConfigurableHTTPProxy.api_url = 'http://127.0.0.1:{proxy_port}'\nc.ConfigurableHTTPProxy.command = {proxy.command()!r}\n"
            f"{config}"
        )
        environment = {**os.environ, "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(path)], cwd=self.folder.name, env=environment,
            stdout=(Path(self.folder.name) / "log").open("wb"), stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        _healthy(self.url)

    def __enter__(self) -> Bare:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.terminate()
        self.process.wait(30)
        self.folder.cleanup()


def _healthy(url: str, seconds: float = 90) -> float:
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            if httpx.get(f"{url}/hub/health", timeout=2).status_code == 200:
                return time.monotonic() - began
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


async def starts(url: str, token: str, users: list[str]) -> tuple[float, list[float], Counter[str]]:
    """Start the servers of all, some at once; give servers a second, the seconds of each, and what went wrong."""
    wrong: Counter[str] = Counter()
    took: list[float] = []
    turns = asyncio.Semaphore(_AT_ONCE)
    async with httpx.AsyncClient(
        base_url=f"{url}/hub/api", headers={"Authorization": f"token {token}"}, timeout=120
    ) as client:

        async def one(name: str) -> None:
            async with turns:
                began = time.monotonic()
                answer = await client.post(f"/users/{name}/server")
                while answer.status_code == 202:
                    await asyncio.sleep(0.2)
                    told = await client.get(f"/users/{name}")
                    if told.status_code != 200:
                        wrong[f"HTTP {told.status_code}"] += 1
                        break
                    if told.json()["servers"].get("", {}).get("ready"):
                        break
                else:
                    if answer.status_code != 201:
                        wrong[f"HTTP {answer.status_code}"] += 1
                took.append(time.monotonic() - began)

        began = time.monotonic()
        await asyncio.gather(*map(one, users))
        return len(users) / (time.monotonic() - began), took, wrong


def ready(url: str, token: str) -> int:
    """How many servers the hub takes for ready."""
    found = 0
    for offset in range(0, 5000, 200):
        answer = httpx.get(
            f"{url}/hub/api/users", params={"offset": offset, "limit": 200, "state": "ready"},
            headers={"Authorization": f"token {token}"}, timeout=60,
        )  # fmt: skip
        page = answer.raise_for_status().json()
        found += len(page)
        if len(page) < 200:
            break
    return found


def latency(url: str, number: int = 300) -> float:
    """The 95th percentile of small requests through the proxy, in milliseconds."""
    with httpx.Client(timeout=20) as client:
        times = []
        for _ in range(number):
            began = time.perf_counter()
            client.get(f"{url}/hub/health").raise_for_status()
            times.append((time.perf_counter() - began) * 1000)
    return statistics.quantiles(times, n=20)[-1]


def abandoned(url: str, path: str, number: int) -> list[socket.socket]:
    """Open websockets and never read from them again."""
    held = []
    host = urlsplit(url)
    for _ in range(number):
        s = socket.create_connection((host.hostname, host.port), timeout=20)
        s.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert b"101" in s.recv(64)
        held.append(s)
    return held


def crowd(users: int) -> None:
    """All but the real users."""
    names = [f"u{n}" for n in range(users)]
    port, token, password = free_port(), secrets.token_hex(16), secrets.token_hex(16)
    # A process: a thread would share the interpreter with what is measured.
    standing = subprocess.Popen([sys.executable, "-m", __spec__.name, "--backend", str(port)])
    config = _NOTHING.format(port=port, token=token, password=password, users=names)
    try:
        rates: dict[str, list[float]] = {"bare": [], "ours": []}
        for turn in range(2):  # once each way round, so that neither has the warmer machine
            for kind in ("bare", "ours") if turn == 0 else ("ours", "bare"):
                with Bare(config) if kind == "bare" else _ours(config) as hub:
                    if kind == "ours":
                        time.sleep(5)  # the services have started
                    rate, took, wrong = asyncio.run(starts(hub.url, token, names))
                    rates[kind].append(rate)
                    p95 = statistics.quantiles(took, n=20)[-1]
                    print(
                        f"{kind}: {rate:.1f} starts/s, p95 {p95:.1f} s, went wrong: {dict(wrong) or 'nothing'}",
                        flush=True,
                    )
                    if kind == "ours" and turn == 1:
                        _after(hub, token, users)
        print(f"ratio ours / bare: {statistics.mean(rates['ours']) / statistics.mean(rates['bare']):.2f}", flush=True)
    finally:
        standing.terminate()


def _ours(config: str) -> Production:
    file = {
        "login": {"kind": "oidc", "oidc": {"issuer": "http://127.0.0.1:9", "client_id": "lab"}},
        "servers": {"kind": "accounts"},
        "profiles": {"S": {"title": "Small", "cores": 1, "memory": "2 GiB"}},
        "groups": {"geodes": {"profiles": ["S"], "quota": {"core_hours": 1000}}},
        "datalake": {"folder": "/tmp", "gate": True},
    }
    # Accounts are not made for five hundred; everything else of a start is done, the question about the quota too.
    return Production(
        file, own_proxy=True, config=f"from hub.servers import accounts\naccounts.ensure = lambda name: None\n{config}"
    )


def _after(hub: Production, token: str, users: int) -> None:
    before = latency(hub.url)
    held = abandoned(hub.url, "/user/u0/api/kernels/x/channels", 500)
    print(
        f"500 abandoned websockets: p95 of the proxy {before:.1f} ms before, {latency(hub.url):.1f} ms with them",
        flush=True,
    )
    for s in held:
        s.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )  # reset, not closed: as a lost network does
        s.close()
    print(f"  and {latency(hub.url):.1f} ms after they were lost", flush=True)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(_keep_asking, hub.url)
        os.kill(hub.process.pid, signal.SIGKILL)
        hub.process.wait()
        began = time.monotonic()
        hub.start()
        print(
            f"hub killed under load: back after {time.monotonic() - began:.1f} s, {ready(hub.url, token)} of {users} servers are there",
            flush=True,
        )
        print(f"  a user's server answered {asked.result()} of the requests that came meanwhile", flush=True)


def _keep_asking(url: str, seconds: float = 10) -> str:
    good = total = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        total += 1
        good += httpx.get(f"{url}/user/u1/api", timeout=10).status_code == 200
        time.sleep(0.02)
    return f"{good} of {total}"


def real(number: int) -> None:
    """Real users at once, each with a server, a kernel, a cluster and the NDVI notebook."""
    import nbformat

    sample = next((TOP / "build").glob("sample-*"), TOP / "build" / "sample")
    if not edition.is_complete(sample):
        build.write(sample)
    node = nbformat.read(TOP / "notebooks" / "01_ndvi_cube.ipynb", as_version=4)
    cells = [c.source for c in node.cells if c.cell_type == "code"]
    with Provider() as provider:
        names = [f"user{n}" for n in range(number)]
        for name in names:
            provider.put(name, groups=["geodes"])
        file = {
            "login": {"kind": "oidc", "oidc": provider.settings()},
            "servers": {"kind": "accounts"},
            "profiles": {"S": {"title": "Small", "cores": 1, "memory": "2 GiB"}},
            "groups": {"geodes": {"profiles": ["S"]}},
            "catalogue": {"static": str(sample / "catalog" / "catalog.json")},
            "datalake": {"folder": str(sample / "datalake"), "gate": True},
        }
        with Production(file) as hub:

            def one(name: str) -> str:
                began = time.monotonic()
                try:
                    person = Person(hub, name)
                    there = time.monotonic() - began
                    for cell in cells:
                        reply = person.kernel.execute(cell, timeout=900)
                        if reply["status"] != "ok":
                            errors = [o.get("evalue", "") for o in reply["outputs"] if o["output_type"] == "error"]
                            return f"FAILED: {errors}"
                except Exception as error:
                    return f"FAILED: {type(error).__name__}: {error}"
                return f"server {there:.0f} s, all {time.monotonic() - began:.0f} s"

            with ThreadPoolExecutor(number) as pool:
                outcomes = list(pool.map(one, names))
    for name, outcome in zip(names, outcomes, strict=True):
        print(f"{name}: {outcome}")
    print(f"{sum('FAILED' in o for o in outcomes)} of {number} failed")


def gate_backend(port: int, folder: str) -> None:
    """The gate before a folder, for one known person."""
    import uvicorn

    from geodes_lab.policy.lab import Lab
    from geodes_lab.policy.reading import read
    from hub.services.data.gate import made
    from hub.services.data.lake import Lake
    from hub.services.data.tally import Tally
    from hub.services.person import Hub
    from hub.services.person import Person as Somebody

    class Known(Hub):
        def who(self, token: str) -> Somebody:
            return Somebody("alice", frozenset({"geodes"}))

        known = who

    lab = read(Lab, {"datalake": {"folder": folder, "gate": True}}, "")
    uvicorn.run(
        made(lab, Lake(lab.datalake, Path("/none")), Known(), Tally("", "")),
        host="127.0.0.1",
        port=port,
        log_level="error",
    )


def gate(seconds: float = 8) -> None:
    """How much passes through the gate: eight readers, ranges of 1 and 8 MiB, from a folder."""
    import obstore
    from obstore.store import LocalStore, S3Store

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bucket").mkdir()
        (Path(folder) / "bucket" / "object").write_bytes(os.urandom(2**28))
        port = free_port()
        standing = subprocess.Popen([sys.executable, "-m", __spec__.name, "--gate-backend", str(port), folder])
        try:
            through = S3Store(
                "bucket", endpoint=f"http://127.0.0.1:{port}", region="us-east-1", virtual_hosted_style_request=False, access_key_id="lab",
                secret_access_key="lab", session_token="t", client_options={"allow_http": True},
            )  # fmt: skip
            for _ in range(200):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            for size in (2**20, 2**23):
                for name, store in (
                    ("the folder itself", LocalStore(Path(folder) / "bucket")),
                    ("through the gate", through),
                ):
                    until = time.monotonic() + seconds

                    def reader(number: int, store=store, size=size, until=until) -> int:
                        done = 0
                        while time.monotonic() < until:
                            start = (done * 7 + number * 2**25) % (2**28 - size)
                            done += len(obstore.get_range(store, "object", start=start, length=size))
                        return done

                    with ThreadPoolExecutor(8) as pool:
                        total = sum(pool.map(reader, range(8)))
                    print(f"{size // 2**20} MiB ranges, {name}: {total / seconds / 1e6:.0f} MB/s", flush=True)
        finally:
            standing.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=500, help="of the crowd (0: none)")
    parser.add_argument("--real", type=int, default=8, help="real users (0: none)")
    parser.add_argument("--backend", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--gate-backend", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.gate_backend:
        gate_backend(int(options.gate_backend[0]), options.gate_backend[1])
        return
    if options.backend:
        backend(options.backend)
        return
    gate()
    if options.users:
        crowd(options.users)
    if options.real:
        real(options.real)


if __name__ == "__main__":
    main()
