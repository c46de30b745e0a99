"""The lab without a person: start it, log in, start the server, run a notebook through the hub, stop everything.

``make demo`` leaves the executed notebook and its picture in ``build/``; the exit code tells whether all went well.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import nbformat
from jupyter_kernel_client import JupyterKernelClient

from hub.lab import Lab, LabError

TOP = Path(__file__).resolve().parents[1]


class DemoError(Exception):
    """A step of the demo failed; the message says which."""


class Visitor:
    """The parts of a person's browser that the demo needs.

    Cookies, the hub's XSRF token, and a token for the server.
    """

    def __init__(self, url: str) -> None:
        self.web = httpx.Client(follow_redirects=True, timeout=60)
        self.root = url.split("/hub/")[0]
        page = self.web.get(url)
        if page.status_code != 200 or "/hub/link" in str(page.url):
            raise DemoError(f"The login link was refused: {page.status_code} at {page.url.path}.")
        match = re.search(r"/(?:user|hub/spawn-pending)/([^/?]+)", str(page.url))
        if not match:
            raise DemoError(f"The hub redirected to {page.url.path} instead of a server.")
        self.name = match.group(1)
        self.api = f"{self.root}/hub/api/users/{self.name}"

    def _headers(self) -> dict[str, str]:
        tokens = {c.value for c in self.web.cookies.jar if c.name == "_xsrf" and c.path == "/hub/" and c.value}
        return {"X-XSRFToken": tokens.pop(), "Referer": f"{self.root}/hub/home"} if tokens else {}

    def await_server(self) -> None:
        """Follow the hub's own events until the server is ready."""
        if self.web.get(self.api, headers=self._headers()).json()["servers"].get("", {}).get("ready"):
            return
        with self.web.stream("GET", f"{self.api}/server/progress", headers=self._headers(), timeout=120) as events:
            for line in events.iter_lines():
                if line.startswith("data:"):
                    event = json.loads(line[5:])
                    if event.get("failed"):
                        raise DemoError(f"The server did not start: {event.get('message')}")
                    if event.get("ready"):
                        return
        raise DemoError("The hub ended its progress report before the server was ready.")

    def token(self) -> str:
        """A short-lived token of the user's own, for the kernel client."""
        reply = self.web.post(f"{self.api}/tokens", headers=self._headers(), json={"note": "demo", "expires_in": 600})
        reply.raise_for_status()
        return str(reply.json()["token"])


def kernel_of(visitor: Visitor) -> JupyterKernelClient:
    """Start a kernel of the lab on the visitor's server, through the hub."""
    token = visitor.token()
    kernel = JupyterKernelClient(
        server_url=f"{visitor.root}/user/{visitor.name}",
        token=token,
        # JupyterHub accepts no token in an address, so the websocket gets it as a header too.
        client_kwargs={"headers": {"Authorization": f"Bearer {token}"}},
    )
    kernel.start(name="geodes", path="notebooks")
    return kernel


def run(visitor: Visitor, notebook: Path) -> nbformat.NotebookNode:
    """Run a notebook from top to bottom in the lab's kernel, through the hub; return it with its outputs.

    Raises
    ------
    DemoError
        If a cell fails; its notebook has all outputs up to that cell.
    """
    node = nbformat.read(notebook, as_version=4)
    kernel = kernel_of(visitor)
    try:
        for number, cell in enumerate((c for c in node.cells if c.cell_type == "code"), 1):
            reply = kernel.execute(cell.source, timeout=150)
            cell.outputs = [nbformat.from_dict(o) for o in reply["outputs"]]
            cell.execution_count = reply.get("execution_count")
            print(f"  cell {number}: {reply['status']}", flush=True)
            if reply["status"] != "ok":
                errors = "\n".join(
                    "".join(o.get("traceback", [o.get("evalue", "")])) for o in cell.outputs if o.output_type == "error"
                )
                raise DemoError(f"Cell {number} of {notebook.name} failed:\n{cell.source}\n{errors}")
    finally:
        kernel.stop()
    return node


def picture(node: nbformat.NotebookNode) -> bytes:
    """Return the last PNG in the notebook."""
    shown: list[Any] = [
        o["data"]["image/png"] for c in node.cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})
    ]
    if not shown:
        raise DemoError("The notebook shows no picture.")
    return base64.b64decode(shown[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notebook", type=Path, default=TOP / "notebooks" / "01_ndvi_cube.ipynb")
    parser.add_argument("--build", type=Path, default=TOP / "build", help="where the results go (default: build)")
    parser.add_argument("--datalake", choices=["files", "s3"], default="files", help="how the sample is read")
    parser.add_argument("--sample", type=Path, help="the sample datalake to use (default: write one)")
    options = parser.parse_args()
    options.build.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    try:
        # A state folder of its own, so that a running lab is not affected.
        with (
            tempfile.TemporaryDirectory(prefix="geodes-lab-") as state,
            Lab(Path(state), datalake=options.datalake, sample=options.sample) as lab,
        ):
            print(f"hub is up after {time.monotonic() - began:.1f} s", flush=True)
            visitor = Visitor(lab.url)
            visitor.await_server()
            print(f"server is up after {time.monotonic() - began:.1f} s", flush=True)
            node = run(visitor, options.notebook)
            target = options.build / options.notebook.name
            nbformat.write(node, target)
            target.with_suffix(".png").write_bytes(picture(node))
    except (DemoError, LabError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"wrote {target} and its picture; everything has stopped, after {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
