"""A hub for several people, as an operator runs it: the operator's file, no launcher. As root its people have unix accounts, which
are made in a mount namespace of the hub's own, so that this machine's accounts stay as they are."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import trustme
import yaml
from jupyter_kernel_client import JupyterKernelClient

from hub.services.declared import listening
from tests.support.paths import TOP

SERVICES = listening()

# Overlays of /etc, and of folders above the interpreter that others may not pass through; nothing of it is seen outside.
_APART = """
set -e
mount -t tmpfs tmpfs "$0"
number=0
for folder in /etc $CLOSED; do
  number=$((number + 1))
  mkdir -p "$0/$number/upper" "$0/$number/work"
  mount -t overlay overlay -o lowerdir="$folder",upperdir="$0/$number/upper",workdir="$0/$number/work" "$folder"
  [ "$folder" = /etc ] || chmod 711 "$folder"
done
[ -z "$KEPT" ] || cp -p "$KEPT"/* /etc/
exec "$@"
"""


def _apart() -> bool:
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("useradd"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _APART, folder, "true"]
        return (
            subprocess.run(command, env={**os.environ, "CLOSED": "", "KEPT": ""}, capture_output=True).returncode == 0
        )


needs_accounts = pytest.mark.skipif(
    not _apart(), reason="several people need root, and a kernel that gives a mount namespace of one's own"
)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Production:
    """A running hub; a context manager.

    Parameters
    ----------
    file
        The operator's file, as YAML has it; addresses and folders are set here.
    own_proxy
        Whether the proxy is a process of its own, which outlives the hub.
    host
        The name by which browsers know it, below which people and services have theirs; "": all have one origin, at a number.
    config
        More configuration, run after that of the hub.
    environment
        More environment.
    descriptors
        How many it and what it starts may have, as a unit of systemd says; 0: as many as this process.
    disk
        The size of a disk of its own for the state, so that it can be filled.
    python
        The interpreter that runs it.
    """

    def __init__(
        self,
        file: dict[str, Any],
        *,
        own_proxy: bool = False,
        host: str = "",
        config: str = "",
        environment: Any = None,
        descriptors: int = 0,
        disk: str = "",
        python: Path | str = sys.executable,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="geodes-"))  # short: sockets are in it
        self.folder.chmod(0o711)
        self.state, self.homes = self.folder / "state", self.folder / "homes"
        self.state.mkdir(mode=0o700)
        self.disk, self.python, self.descriptors = disk, Path(python), descriptors
        if disk:
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={disk},mode=700", "tmpfs", str(self.state)], check=True
            )
        self.port = free_port()
        self.ports = {name: free_port() for name in (*SERVICES, "hub", "proxy", "s3")}
        self.host = host
        self.url = f"https://{host}:{self.port}" if host else f"http://127.0.0.1:{self.port}"
        listen = f"http{'s' if host else ''}://127.0.0.1:{self.port}"
        whole = {
            "listen": listen, "state": str(self.state), "address": self.url, "subdomains": bool(host), **self._authority(), **file,
        }  # fmt: skip
        whole["home"] = {"folder": str(self.homes), **whole.get("home", {})}
        self.file = self.folder / "lab.yaml"
        self.file.write_text(yaml.safe_dump(whole))
        self.file.chmod(0o600)
        (self.state / "secrets").mkdir(mode=0o700)
        secret = self.state / "secrets" / "client_secret"
        secret.write_text(secrets.token_hex(16))
        secret.chmod(0o600)
        self.config = self.folder / "config.py"
        self.config.write_text(
            f"import sys\nexec(compile(open({str(TOP / 'hub' / 'jupyterhub_config.py')!r}).read(), "
            f"{str(TOP / 'hub' / 'jupyterhub_config.py')!r}, 'exec'), {{**globals(), '__file__': "
            f"{str(TOP / 'hub' / 'jupyterhub_config.py')!r}}})\nc = get_config()\nc.JupyterHub.log_level = 'INFO'\n{config}\n"
        )
        self.log = self.folder / "hub.log"
        self.own_proxy = own_proxy
        self.proxy_token = secrets.token_hex(32)
        self.extra = environment or {}
        self.process: subprocess.Popen[bytes] | None = None
        self.proxy: subprocess.Popen[bytes] | None = None
        self.mark = secrets.token_hex(8)

    def _authority(self) -> dict[str, str]:
        """Lines of the operator's file about the certificate, of an authority of this hub's own."""
        self.trust: ssl.SSLContext | bool = True
        if not self.host:
            return {}
        authority = trustme.CA()
        self.trust = ssl.create_default_context()
        authority.configure_trust(self.trust)
        given = authority.issue_cert(self.host, f"*.{self.host}")
        authority.cert_pem.write_to_path(self.folder / "authority.pem")
        certificate, key = self.folder / "certificate.pem", self.folder / "key.pem"
        given.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        for blob in given.cert_chain_pems:
            blob.write_to_path(certificate, append=True)
        return {"certificate": str(certificate), "key": str(key)}

    def at(self, name: str) -> str:
        """The address that browsers have of a person's or, as ``NAME--service``, of a service's host; or the one of all."""
        return self.url.replace("://", f"://{name}.") if self.host else self.url

    def client(self, **options: Any) -> httpx.Client:
        """Who asks as a browser does that knows every name below this hub's."""
        return httpx.Client(transport=Loopback(verify=self.trust), **options)

    def server(self, name: str) -> str:
        """A person's server where it listens itself, past the proxy."""
        for process in self.pids():
            with contextlib.suppress(psutil.Error):
                environ = process.environ()
                if environ.get("JUPYTERHUB_USER") == name and "JUPYTERHUB_SERVICE_URL" in environ:
                    return environ["JUPYTERHUB_SERVICE_URL"].rstrip("/")
        raise AssertionError(f"{name} has no server")

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GEODES_LAB_", "JUPYTER"))}
        return {
            **kept,
            "PATH": f"{self.python.parent}:{os.environ['PATH']}",
            "GEODES_LAB_SETTINGS": str(self.file),
            "GEODES_LAB_STATE": str(self.state),
            "GEODES_LAB_RUNTIMES": str(self.folder / "run"),  # this machine's own is not touched
            "GEODES_LAB_RUN": self.mark,
            "GEODES_LAB_WAITING": "no",  # the tests of one lab have it
            **{f"GEODES_LAB_{name.upper()}_PORT": str(port) for name, port in self.ports.items()},
            **({"CONFIGPROXY_AUTH_TOKEN": self.proxy_token} if self.own_proxy else {}),
            **self.extra,
        }

    def __enter__(self) -> Production:
        try:
            if self.own_proxy:
                self.start_proxy()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start_proxy(self) -> None:
        """Start the proxy as a unit of its own."""
        from hub.front import proxy

        self.proxy = subprocess.Popen(
            [*proxy.command(), "--ip", "127.0.0.1", "--port", str(self.port), "--api-ip", "127.0.0.1"]
            + [
                "--api-port",
                str(self.ports["proxy"]),
                "--error-target",
                f"http://127.0.0.1:{self.ports['hub']}/hub/error",
            ]
            + (
                [
                    "--host-routing",
                    "--ssl-key",
                    str(self.folder / "key.pem"),
                    "--ssl-cert",
                    str(self.folder / "certificate.pem"),
                ]
                if self.host
                else []
            ),
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def start(self) -> None:
        """Start the hub and await it."""
        command = [str(self.python), "-m", "jupyterhub", "-f", str(self.config)]
        environment = self.environment
        if self.descriptors:
            command = ["sh", "-c", f'ulimit -n {self.descriptors}; exec "$@"', "sh", *command]
        if _IS_APART:
            overlays = self.folder / f"overlays-{secrets.token_hex(4)}"
            overlays.mkdir()
            command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _APART, str(overlays), *command]
            environment["CLOSED"] = " ".join(_closed())
            environment["KEPT"] = self._accounts()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.state, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        deadline = time.monotonic() + 90
        web = self.client(timeout=2)
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the hub did not start:\n{self.log.read_text()[-6000:]}")
            with contextlib.suppress(httpx.HTTPError):
                if web.get(f"{self.url}/hub/health").status_code == 200:
                    return
            time.sleep(0.1)

    def _accounts(self) -> str:
        """The accounts that an earlier start of this hub made: its servers still have them before their eyes."""
        names = [f"{n}{end}" for n in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid") for end in ("", "-")]
        for process in self.pids():
            etc = Path(f"/proc/{process.pid}/root/etc")
            with contextlib.suppress(OSError, psutil.Error):
                if process.uids().real and (etc / "passwd").read_text() != Path("/etc/passwd").read_text():
                    kept = self.folder / "accounts"
                    kept.mkdir(exist_ok=True)
                    for name in names:
                        if (etc / name).exists():
                            shutil.copy2(etc / name, kept / name)
                    return str(kept)
        return ""

    def pids(self) -> list[psutil.Process]:
        """The processes that this hub started, by their mark; the tests' own is none of them."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("GEODES_LAB_RUN") == self.mark:
                    found.append(process)
        return found

    def __exit__(self, *exception: object) -> None:
        # Killed: how a hub stops what it has started is what test_hub looks at, and takes seconds each time.
        processes = [p for p in (self.process, self.proxy) if p and p.poll() is None]
        for process in processes:
            process.kill()
        left = self.pids()
        for marked in left:
            with contextlib.suppress(psutil.Error):
                marked.kill()
        psutil.wait_procs(left, timeout=10)
        for process in processes:
            process.wait(10)
        for place in self.folder.glob("overlays-*"):
            subprocess.run(["umount", "-q", str(place)], capture_output=True)
        if self.disk:
            subprocess.run(["umount", "-l", str(self.state)], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def said(self) -> str:
        """The log."""
        return self.log.read_text()


def _closed() -> list[str]:
    """Folders above the interpreter and the project that others may not pass through; the outer ones first."""
    needed = (Path(sys.executable).resolve(), Path(sys.prefix), TOP)
    parents = {p for path in needed for p in path.parents if p != Path("/") and not p.stat().st_mode & 0o001}
    return [str(p) for p in sorted(parents, key=lambda p: len(p.parts))]


_IS_APART = _apart()


class Loopback(httpx.HTTPTransport):
    """Leads every name to this machine, as a browser leads those that end in ``.localhost``; the host that was asked for is told."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        there = httpx.Request(
            request.method, request.url.copy_with(host="127.0.0.1"), headers=request.headers, stream=request.stream,
            extensions={**request.extensions, "sni_hostname": request.url.host},
        )  # fmt: skip
        return super().handle_request(there)


class Browser:
    """A person without a screen: cookies, the provider's form, the hub's XSRF token."""

    def __init__(self, hub: Production, language: str = "en") -> None:
        self.hub = hub
        self.web = hub.client(follow_redirects=True, timeout=60, headers={"Accept-Language": language})

    def login(self, sub: str, then: str = "/hub/token") -> httpx.Response:
        """Log in at the provider as a person does."""
        form = self.web.get(f"{self.hub.url}{then}")
        if "oauth_login" in form.text and "/oauth2/authorize" not in str(form.url):
            form = self.web.get(f"{self.hub.url}/hub/oauth_login")
        if "/oauth2/authorize" not in str(form.url):
            return form
        return self.web.post(str(form.url), data={"sub": sub})

    @property
    def xsrf(self) -> dict[str, str]:
        tokens = [c.value for c in self.web.cookies.jar if c.name == "_xsrf" and c.path == "/hub/"]
        return {"X-XSRFToken": tokens[-1] or "", "Referer": f"{self.hub.url}/hub/home"} if tokens else {}

    def api(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask the hub's API as its own pages do."""
        return self.web.request(method, f"{self.hub.url}/hub/api{path}", headers=self.xsrf, **options)

    def token(self, name: str, **more: Any) -> str:
        """A token of one's own."""
        reply = self.api("POST", f"/users/{name}/tokens", json={"note": "test", "expires_in": 900, **more})
        assert reply.status_code == 201, reply.text
        return str(reply.json()["token"])

    def spawn(self, name: str, **options: Any) -> None:
        """Start one's server and await it."""
        reply = self.api("POST", f"/users/{name}/server", json=options)
        assert reply.status_code in (201, 202), reply.text
        with self.web.stream(
            "GET", f"{self.hub.url}/hub/api/users/{name}/server/progress", headers=self.xsrf, timeout=120
        ) as events:
            for line in events.iter_lines():
                if line.startswith("data:"):
                    event = json.loads(line[5:])
                    assert not event.get("failed"), f"{event}\n{self.hub.said()[-3000:]}"
                    if event.get("ready"):
                        return
        raise AssertionError(f"no server\n{self.hub.said()[-3000:]}")


class Person:
    """Somebody with a server and a kernel on it."""

    def __init__(self, hub: Production, name: str) -> None:
        self.hub, self.name = hub, name
        self.browser = Browser(hub)
        assert self.browser.login(name).status_code == 200
        self.browser.spawn(name)
        self.token = self.browser.token(name)
        self.kernel = JupyterKernelClient(
            server_url=hub.server(name) if hub.host else f"{hub.url}/user/{name}",
            token=self.token,
            client_kwargs={"headers": {"Authorization": f"Bearer {self.token}"}},
        )
        self.kernel.start(name="geodes", path="notebooks")

    def run(self, code: str) -> str:
        """Run code in the person's kernel; give what it prints, or the error."""
        reply = self.kernel.execute(textwrap.dedent(code), timeout=120)
        said = ["".join(o.get("text", "")) for o in reply["outputs"] if o["output_type"] == "stream"]
        failed = [f"{o['ename']}: {o['evalue']}" for o in reply["outputs"] if o["output_type"] == "error"]
        return "".join([*said, *failed]).strip()


def message(page: httpx.Response) -> str:
    """What the hub's error page says."""
    found = re.findall(r"<p>\s*(.*?)\s*</p>", page.text, re.S)
    return " ".join(" ".join(found).split())
