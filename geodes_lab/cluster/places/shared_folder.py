"""Whether the nodes of a queue see the folders that their workers need: the person's environment, and that of logs.

A job that does not ends at once, and nobody would learn why: its log is on a node, or nowhere.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import Any

_UNSEEN = 97  # the exit status of a job that does not see the Python of its worker
_NO_LOG = "0:53"  # what SLURM says of a job whose log cannot be opened


def lines(python: str) -> list[str]:
    """Return the lines of a job that end it where the Python of its worker is not seen."""
    return [f"[ -x {shlex.quote(python)} ] || exit {_UNSEEN}"]


def unseen(cluster: Any, python: str, folder: str) -> str:
    """Return why the jobs of a cluster have ended at once, if a folder was not seen; empty if it was not that.

    Asks SLURM, which remembers jobs for some minutes.

    Parameters
    ----------
    cluster
        Of dask-jobqueue.
    python
        Of the workers.
    folder
        Of logs and keys.
    """
    jobs = [str(job) for job in (getattr(worker, "job_id", None) for worker in cluster.workers.values()) if job]
    codes = set()
    for job in jobs[:5]:
        try:
            command = ["scontrol", "--oneliner", "show", "job", job]
            answer = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout
        except (OSError, subprocess.SubprocessError):
            continue
        if code := re.search(r"\bExitCode=(\d+:\d+)", answer):
            codes.add(code[1])
    if f"{_UNSEEN}:0" in codes:
        return (
            f"The nodes of the queue do not see the Python of this kernel, {python}: your own packages need a folder "
            "that all nodes share. Ask the operator for a home that is on the nodes too, or set "
            "geodes_lab.cluster.slurm.python to one that they have."
        )
    if _NO_LOG in codes:
        return (
            f"The nodes of the queue cannot write into {folder}: set geodes_lab.cluster.slurm.folder to a folder that "
            "all nodes share."
        )
    return ""
