"""What a lab takes of a machine: the hub's CPU for each thing that it is asked, and the memory of every process. docs/operations/scale.md reckons with it.

``python -m tests.benchmarks.services.footprint [--users 1000]``: CPU-seconds of the process itself, so that others on the machine matter little.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import httpx
import psutil

from tests.benchmarks.services.hub import _NOTHING, _ours, starts
from tests.support.hub.hubs import SERVICES, Person, Production, free_port
from tests.support.hub.provider import Provider
from tests.support.paths import TOP

_MIB = 2**20
# It may ask what the lab's services may: more rights would have the hub look for more.
_SERVICE = """
c.JupyterHub.services.append({{'name': 'asks', 'api_token': {token!r}}})
c.JupyterHub.load_roles.append({{'name': 'asks', 'services': ['asks'], 'scopes': ['read:users:name', 'read:users:groups']}})
"""


def pss(process: psutil.Process) -> float:
    """Memory in MiB, where what is shared with others counts in part."""
    return float(process.memory_full_info().pss) / _MIB


def services(hub: Production) -> dict[str, psutil.Process]:
    """The hub's services, by name."""
    found = {}
    for process in psutil.Process(hub.process.pid).children():
        line = process.cmdline()
        if len(line) > 2 and line[1] == "-m" and line[2] in SERVICES:
            found[line[2]] = process
    return found


def cpu(process: psutil.Process) -> float:
    """CPU-seconds so far."""
    told = process.cpu_times()
    return float(told.user + told.system)


async def many(
    hub: Production,
    token: str,
    number: int,
    ask: Callable[[httpx.AsyncClient, int], Coroutine[Any, Any, httpx.Response]],
) -> float:
    """Ask the hub's API so often; give the CPU-milliseconds that each took of the hub."""
    process, turns = psutil.Process(hub.process.pid), asyncio.Semaphore(8)
    head = {"Authorization": f"token {token}"}
    url = f"http://127.0.0.1:{hub.ports['hub']}/hub/api"  # past the proxy, as services ask
    async with httpx.AsyncClient(base_url=url, headers=head, timeout=60) as client:

        async def one(n: int) -> None:
            async with turns:
                answer = await ask(client, n)
                assert answer.status_code in (200, 201, 202, 204), (answer.status_code, answer.text[:200])

        before = cpu(process)
        await asyncio.gather(*(one(n) for n in range(number)))
    return (cpu(process) - before) / number * 1000


def crowd(users: int) -> None:
    """The hub with a crowd whose servers are nothing."""
    names = [f"u{n}" for n in range(users)]
    port, token, service = free_port(), secrets.token_hex(16), secrets.token_hex(16)
    standing = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.services.hub", "--backend", str(port)])
    try:
        config = _NOTHING.format(port=port, token=token, password=secrets.token_hex(16), users=names)
        with _ours(f"{config}{_SERVICE.format(token=service)}") as hub:
            time.sleep(5)
            process = psutil.Process(hub.process.pid)
            proxy = psutil.Process(hub.proxy.pid)
            before, way = cpu(process), cpu(proxy)
            _, _, wrong = asyncio.run(starts(hub.url, token, names))
            print(
                f"start of a server: {(cpu(process) - before) / users * 1000:.1f} ms of the hub, {(cpu(proxy) - way) / users * 1000:.2f} ms of the proxy, went wrong: {dict(wrong) or 'nothing'}"
            )
            asked: dict[str, Callable[[httpx.AsyncClient, int], Coroutine[Any, Any, httpx.Response]]] = {
                "who a token is (GET /user)": lambda c, n: c.get("/user"),
                "a person's groups (GET /users/NAME)": lambda c, n: c.get(f"/users/u{n % users}"),
                "activity of a server": lambda c, n: c.post(
                    f"/users/u{n % users}/activity",
                    json={"servers": {"": {"last_activity": datetime.now(UTC).isoformat()}}, "last_activity": datetime.now(UTC).isoformat()},
                ),
            }  # fmt: skip
            for what, ask in asked.items():
                asks = token if "activity" in what else service
                print(f"{what}: {asyncio.run(many(hub, asks, 500, ask)):.2f} ms of the hub", flush=True)
            parts = {"hub": process, "proxy": proxy, **services(hub)}
            began = {name: cpu(p) for name, p in parts.items()}
            time.sleep(120)
            for name, p in parts.items():
                print(
                    f"{name} with {users} servers: {(cpu(p) - began[name]) / 120 * 100:.1f} % of a core, {pss(p):.0f} MiB",
                    flush=True,
                )
    finally:
        standing.terminate()


def person(sample: str) -> None:
    """One person's server, kernel and cluster."""
    with Provider() as provider:
        provider.put("alice", groups=["geodes"])
        file = {
            "login": {"kind": "oidc", "oidc": provider.settings()},
            "servers": {"kind": "accounts"},
            "profiles": {"S": {"title": "Small", "cores": 2, "memory": "4 GiB"}},
            "groups": {"geodes": {"profiles": ["S"]}},
            "catalogue": {"static": f"{sample}/catalog/catalog.json"},
            "datalake": {"folder": f"{sample}/datalake", "gate": True},
        }
        with Production(file) as hub:
            alice = Person(hub, "alice")
            alice.run("1 + 1")

            def whole(what: str) -> None:
                found = [p for p in hub.pids() if "singleuser" in " ".join(p.cmdline())]
                tree = {p.pid: p for root in found for p in (root, *root.children(recursive=True))}
                began, names = {k: cpu(p) for k, p in tree.items()}, sorted({p.name() for p in tree.values()})
                time.sleep(30)
                used = sum(cpu(p) - began[k] for k, p in tree.items() if p.is_running()) / 30 * 100
                print(
                    f"{what}: {sum(pss(p) for p in tree.values() if p.is_running()):.0f} MiB in {len(tree)} processes ({', '.join(names)}), {used:.1f} % of a core",
                    flush=True,
                )

            whole("server and an idle kernel")
            alice.run("client = gl.attach(workers=1)")
            whole("the same with an idle cluster of one worker")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=1000)
    options = parser.parse_args()
    sample = next((TOP / "build").glob("sample-*"))
    person(str(sample))
    crowd(options.users)


if __name__ == "__main__":
    main()
