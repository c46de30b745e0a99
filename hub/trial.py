"""A robot uses the lab as a person would.

It starts a server, a kernel, a Dask cluster with one worker, and opens a product.

`helm test` runs ``python -m hub.trial``; it works on one machine too. The robot does not exist at the provider: no
person's name has an @. It has the rights of the group that the operator's file names (``trial``), and a token that is
good for a quarter of an hour. What goes wrong is said with its step, and on Kubernetes with what the cluster says of
its pods.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from geodes_lab.policy.people import ROBOT
from hub.events import warnings
from hub.trialcode import CLUSTER, PRODUCT

if TYPE_CHECKING:
    import httpx
    from jupyter_kernel_client import JupyterKernelClient

SCOPES = [f"{scope}!user={ROBOT}" for scope in ("admin:users", "servers", "tokens", "access:servers")]
"""The scopes of its service: nothing that concerns other people."""


class TrialError(Exception):
    """A step failed; the message says which."""


class Trial:
    """The steps.

    Parameters
    ----------
    hub, token
        Address and token of the hub's API, for the service ``trial``.
    public
        The address of the servers.
    address
        The lab's own address, if people have host names below it: the robot's host name is resolved to ``public``.
    patience
        Seconds in which a server must start.
    """

    def __init__(self, hub: str, token: str, public: str, address: str = "", patience: float = 600) -> None:
        import httpx

        self.hub, self.patience = hub.rstrip("/"), patience
        self.public = (below(address, public) if address else public).rstrip("/")
        self._service = httpx.Client(headers={"Authorization": f"token {token}"}, timeout=60)
        self._robot = ""

    def login(self) -> str:
        """Create the robot, if needed, and a token for it."""
        creation = self._service.post(self._url())
        if creation.status_code not in (201, 409):
            raise TrialError(f"The robot could not be created: {_said(creation)}")
        request = {"note": "trial", "expires_in": 900}
        reply = self._service.post(f"{self._url()}/tokens", json=request)
        if reply.status_code != 201:
            raise TrialError(f"The robot did not get a token: {_said(reply)}")
        self._robot = reply.json()["token"]
        seen = self._ask("GET", f"{self.hub}/user")
        if seen.json()["name"] != ROBOT:
            raise TrialError(f"The robot's token belongs to {seen.json()['name']}.")
        return f"{ROBOT} has logged in, for a quarter of an hour"

    def start(self) -> str:
        """Start its server, and follow the hub's progress events."""
        began = time.monotonic()
        reply = self._service.post(f"{self._url()}/server", json={})
        if reply.status_code not in (201, 202, 400):  # 400: it is running already
            raise TrialError(f"The server was refused: {_said(reply)}")
        progress = f"{self._url()}/server/progress"
        told: list[str] = []
        with self._service.stream("GET", progress, timeout=self.patience) as events:
            for line in events.iter_lines():
                event = json.loads(line[5:]) if line.startswith("data:") else {}
                if event.get("failed"):
                    before = f" The last messages of the hub were: {' | '.join(told[-3:])}" if told else ""
                    raise TrialError(f"The server did not start: {event.get('message')}{before}")
                told += [str(event["message"])] if event.get("message") else []
                if event.get("ready"):
                    return f"its server is up after {time.monotonic() - began:.0f} s"
        raise TrialError("The hub ended its progress report before the server was ready.")

    def versions(self, kernel: JupyterKernelClient) -> str:
        """Compare the JupyterHub versions of both images."""
        hub = self._ask("GET", f"{self.hub}/").json()["version"]
        user = run(kernel, "import jupyterhub; print(jupyterhub.__version__)")
        if hub.split(".")[0] != user.split(".")[0]:
            raise TrialError(
                f"The hub runs JupyterHub {hub} and servers have {user}: use the same tag for both images."
            )
        return f"JupyterHub {hub} in the hub and {user} in servers"

    def kernel(self) -> JupyterKernelClient:
        """Start a kernel of the lab, through the proxy."""
        from jupyter_kernel_client import JupyterKernelClient

        kernel = JupyterKernelClient(
            server_url=f"{self.public}/user/{ROBOT}",
            token=self._robot,
            client_kwargs={"headers": {"Authorization": f"Bearer {self._robot}"}},
        )
        kernel.start(name="geodes", path="notebooks")
        return kernel

    def stop(self) -> str:
        """Stop the server; its home stays for the next trial."""
        gone = self._service.delete(f"{self._url()}/server")
        if gone.status_code not in (202, 204):
            raise TrialError(f"The server was not stopped: {_said(gone)}")
        return "its server has been stopped"

    def _url(self) -> str:
        return f"{self.hub}/users/{ROBOT}"

    def _ask(self, method: str, url: str) -> httpx.Response:
        answer = self._service.request(method, url, headers={"Authorization": f"token {self._robot}"})
        if answer.status_code != 200:
            raise TrialError(f"The robot has no access to {url}: {_said(answer)}")
        return answer


@contextmanager
def step(name: str) -> Iterator[None]:
    """Whatever goes wrong within is said with the name of the step, and with what the cluster says of its pods.

    Raises
    ------
    TrialError
        With all of that.
    """
    import httpx

    since = datetime.now(UTC) - timedelta(seconds=5)  # clocks of nodes differ a little
    try:
        yield
    except (TrialError, httpx.HTTPError, OSError, RuntimeError) as error:
        sentences = [
            f"{name} failed: {error or type(error).__name__}",
            *(f"The cluster reports: {w}" for w in warnings(since)),
        ]
        raise TrialError("\n".join(sentences)) from error


def below(address: str, public: str) -> str:
    """Return the robot's own host name, as JupyterHub creates it.

    From now on it is resolved to the proxy, without DNS and external TLS.
    """
    import jupyterhub.utils

    proxy, lab = urlsplit(public), urlsplit(address)
    name = jupyterhub.utils.subdomain_hook_idna(ROBOT, lab.hostname, "user")
    ask = socket.getaddrinfo

    def at_proxy(host: Any, *arguments: Any, **options: Any) -> Any:
        return ask(proxy.hostname if host in (name, name.encode()) else host, *arguments, **options)

    socket.getaddrinfo = at_proxy
    return f"{proxy.scheme}://{name}{f':{proxy.port}' if proxy.port else ''}"


def run(kernel: JupyterKernelClient, code: str) -> str:
    """Run code in the kernel; return its last output.

    Raises
    ------
    TrialError
        If it fails.
    """
    reply: Any = kernel.execute(code, timeout=300)
    printed = "".join("".join(o.get("text", "")) for o in reply["outputs"] if o["output_type"] == "stream").strip()
    if reply["status"] != "ok":
        errors = [f"{o['ename']}: {o['evalue']}" for o in reply["outputs"] if o["output_type"] == "error"]
        raise TrialError(f"{' '.join(errors) or reply['status']} in:\n{code.strip()}")
    return printed.splitlines()[-1] if printed else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--hub", default=os.environ.get("JUPYTERHUB_API_URL", "http://hub:8081/hub/api"), help="the hub's API"
    )
    parser.add_argument("--public", default="http://proxy-public", help="the address of users' servers")
    parser.add_argument("--address", default="", help="the address of the lab, if users have host names below it")
    parser.add_argument("--collection", default="", help="the collection of the product to open (default: the first)")
    options = parser.parse_args()
    import httpx

    trial = Trial(options.hub, os.environ["JUPYTERHUB_API_TOKEN"], options.public, options.address)
    try:
        with step("Logging in"):
            _tell(trial.login())
        try:
            _try(trial, options.collection)
        except TrialError:
            with suppress(TrialError, httpx.HTTPError):  # where none has started there is none to stop
                _tell(trial.stop())
            raise
        with step("Stopping the server"):
            _tell(trial.stop())
    except TrialError as error:
        print(error, file=sys.stderr)
        return 1
    print("the lab works")
    return 0


def _try(trial: Trial, collection: str) -> None:
    with step("Starting a server"):
        _tell(trial.start())
    with step("Starting a kernel"):
        kernel = trial.kernel()
        _tell(trial.versions(kernel))
    with step("A cluster of one worker"):
        answer, _, cluster = run(kernel, CLUSTER).partition(" ")
        if answer != "42":
            raise TrialError(f"it computed {answer!r} instead of 42.")
        _tell(f"a cluster of one worker computes: {cluster}")
    with step("Opening a product"):
        _tell(f"opened {run(kernel, PRODUCT.format(collection=collection))}")
    kernel.stop()


def _tell(sentence: str) -> None:
    print(sentence, flush=True)


def _said(answer: httpx.Response) -> str:
    try:
        return f"{answer.status_code}, {answer.json()['message']}"
    except (ValueError, KeyError):
        return f"{answer.status_code}, {answer.text[:200]}"


if __name__ == "__main__":
    sys.exit(main())
