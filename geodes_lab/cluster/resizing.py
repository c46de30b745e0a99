"""Another number of workers, asked for from outside the kernel that has the cluster: by the Dask panel.

The kernel alone knows what fits, so it is asked by a file beside that by which the cluster tells of itself, and answers
by another.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from geodes_lab.cluster import running
from geodes_lab.cluster.request import ClusterRequest
from geodes_lab.errors import GeodesError
from geodes_lab.util import user_folder


def ask(id: str, wanted: ClusterRequest) -> str:
    """Ask the kernel that has a cluster for another number of workers.

    Parameters
    ----------
    id
        Of the cluster.
    wanted
        What for.

    Returns
    -------
    str
        A mark by which `answered` knows the answer.

    Raises
    ------
    GeodesError
        If there is no such cluster.
    """
    if not any(one.id == id for one in running.listed()):
        raise GeodesError("This cluster has ended.")
    mark = uuid.uuid4().hex
    wish = {"mark": mark, "workers": wanted.workers, "least": wanted.least, "adaptive": wanted.adaptive}
    user_folder.write(running.folder() / f"{id}.resize", json.dumps(wish))
    return mark


def answered(id: str, mark: str, seconds: float) -> None:
    """Wait for the kernel's answer.

    Raises
    ------
    GeodesError
        If it refuses, or does not answer in so many seconds.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        outcome = _read(f"{id}.resized")
        if outcome.get("mark") == mark:
            if outcome["refusal"]:
                raise GeodesError(outcome["refusal"])
            return
        time.sleep(0.05)  # the kernel has no way to call us
    raise GeodesError("The kernel that has this cluster does not answer: write gl.attach(workers=…) in its notebook.")


def asked(id: str) -> tuple[str, ClusterRequest] | None:
    """The kernel's side: what was asked for since it last looked, with its mark."""
    wish = _read(f"{id}.resize")
    (running.folder() / f"{id}.resize").unlink(missing_ok=True)
    if not wish:
        return None
    return wish["mark"], ClusterRequest(wish["workers"], None, wish["adaptive"], wish["least"])


def answer(id: str, mark: str, refusal: str) -> None:
    """The kernel's side: say that it is done, or why it is not."""
    user_folder.write(running.folder() / f"{id}.resized", json.dumps({"mark": mark, "refusal": refusal}))


def _read(name: str) -> dict[str, Any]:
    """What a file says; nothing, if there is none or it is not whole."""
    try:
        message: dict[str, Any] = json.loads((running.folder() / name).read_text())
    except (OSError, ValueError):
        return {}
    return message
