"""What a pod of a person's server does on this machine: its command with its environment, as a process whose folders are below one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

from tests.support.chart.kubernetes.store import Object
from tests.support.paths import TOP


class Containers:
    """Those of a node.

    Parameters
    ----------
    root
        The volumes are folders of it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pids: dict[str, int] = {}

    async def run(self, pod: Object) -> int:
        """Run the container of a pod until it ends; its exit code. Where the pod is deleted it is ended.

        It listens on loopback alone, whatever the pod is told.
        """
        (container,) = pod["spec"]["containers"]
        volumes = {
            m["mountPath"]: f"{m['name']}/{m.get('subPath') or ''}".strip("/") for m in container["volumeMounts"]
        }
        for name in volumes.values():
            (self.root / pod["metadata"]["name"] / name).mkdir(parents=True, exist_ok=True)

        def here(text: str) -> str:
            text = text.replace("/opt/geodes-lab", str(TOP)).replace("http://0.0.0.0:", "http://127.0.0.1:")
            for path, name in sorted(volumes.items(), reverse=True):  # the longest first
                text = text.replace(path, str(self.root / pod["metadata"]["name"] / name))
            return text

        home = self.root / pod["metadata"]["name"] / volumes["/home/lab"]
        told = {e["name"]: here(e["value"]) for e in container["env"] if "value" in e}
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "GEODES_LAB_RUNTIME": str(home), **told}
        _, *arguments = [here(a) for a in container["args"]]
        with (self.root / f"{pod['metadata']['name']}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, *(["--allow-root"] if os.geteuid() == 0 else []), cwd=home, env=environment, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip
        self.pids[pod["metadata"]["name"]] = process.pid
        try:
            return await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
