"""A cluster whose workers are jobs of a SLURM queue, as on CNES's TREX; the scheduler is in the kernel."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
from dask.utils import parse_bytes

from geodes_lab import settings
from geodes_lab.cluster import dashboard_gate, versions
from geodes_lab.cluster.lifecycle import ClusterLifecycle
from geodes_lab.cluster.places import local, shared_folder
from geodes_lab.cluster.request import ClusterRequest
from geodes_lab.errors import GeodesError
from geodes_lab.util import ownership

_NAME = "geodes-lab"  # of the jobs
_CONFIGURATIONS = ("/etc/slurm/slurm.conf", "/etc/slurm-llnl/slurm.conf", "/run/slurm/conf/slurm.conf")
_COUNTED = "PENDING,CONFIGURING,RUNNING,SUSPENDED"
_SPILL = "GEODES_LAB_SPILL"  # the variable of a job that has the worker's folder on the node's disk
_REMEDY = "Set geodes_lab.cluster.slurm.python to the Python of this kernel's environment, or leave it out."


def is_there() -> bool:
    """Whether this machine can submit jobs: its commands are there, and a cluster that they know."""
    configured = (
        "SLURM_CONF" in os.environ or "SLURM_JOB_ID" in os.environ or any(Path(p).exists() for p in _CONFIGURATIONS)
    )
    return configured and shutil.which("sbatch") is not None


def start(wanted: ClusterRequest) -> ClusterLifecycle:
    """Submit jobs, each a worker, after the software of their Python was held against the kernel's.

    Raises
    ------
    GeodesError
        If there is no SLURM, the queue refuses the jobs, the user has as many as the settings allow, or the software
        differs.
    """
    from distributed.security import Security

    if shutil.which("sbatch") is None:
        raise GeodesError(
            "This machine has no sbatch, so it cannot submit jobs: set geodes_lab.cluster.place to local."
        )
    options = settings.get("cluster.slurm")
    python = options["python"] or sys.executable
    _refuse(python)
    count = _most(wanted.workers or int(options["jobs"]), options)
    folder = Path(options["folder"]).expanduser()
    keys = _folder_of_keys(folder)
    cluster = _of_dask_jobqueue()(
        queue=options["queue"],
        account=options["account"],
        walltime=options["walltime"],
        cores=int(options["cores"]),
        processes=1,
        memory=str(wanted.memory or parse_bytes(options["memory"])),
        job_name=_NAME,
        python=python,
        security=Security.temporary(),
        shared_temp_directory=str(keys),  # the workers' TLS keys, for their owner alone; gone with the cluster
        local_directory=f'"${_SPILL}"',
        worker_extra_args=[
            "--preload",
            dashboard_gate.__name__,
        ],  # before the workers' own pages, on a port of the network
        log_directory=str(folder / "logs"),
        interface=options["interface"],
        scheduler_options={
            "dashboard_address": "127.0.0.1:0",
            **(
                {"interface": options["interface"]}
                if options["interface"]
                else {"host": options["host"]}
                if options["host"]
                else {}
            ),
        },
        # A worker that loses its scheduler ends, and its job with it: the queue is empty a minute after a kernel was
        # killed.
        death_timeout=60,
        job_extra_directives=list(options["directives"]),
        job_script_prologue=[*options["prologue"], *shared_folder.lines(python), *_spill(options["spill"])],
        silence_logs="critical",
    )
    try:
        link = local.dashboard(cluster.scheduler)
        if wanted.adaptive:
            cluster.adapt(minimum=0, maximum=count)
        else:
            _submit(cluster, count)
        return ClusterLifecycle(
            cluster,
            "slurm",
            link,
            change,
            ended=lambda: _forget(cluster, keys),
            missing=lambda: shared_folder.unseen(cluster, python, str(folder)),
        )
    except BaseException:
        cluster.close()
        _forget(cluster, keys)
        raise


def change(keeper: ClusterLifecycle, wanted: ClusterRequest) -> bool:
    """Change the number of jobs; False if it has to be another cluster, since the workers differ."""
    if wanted.memory is not None:
        return False
    options = settings.get("cluster.slurm")
    count = _most(wanted.workers or int(options["jobs"]), options, of_this=len(keeper.cluster.worker_spec))
    if wanted.adaptive:
        keeper.cluster.adapt(minimum=wanted.least or 0, maximum=count)
    else:
        _submit(keeper.cluster, count)
    return True


def _of_dask_jobqueue() -> Any:
    """Its cluster, imported without what it does besides: it lets Ctrl-C and the stop button end the whole Python."""
    handle = signal.signal
    setattr(signal, "signal", lambda *_: None)  # noqa: B010  (mypy takes no other function in its place)
    try:
        from dask_jobqueue import SLURMCluster
    finally:
        setattr(signal, "signal", handle)  # noqa: B010
    return SLURMCluster


def _spill(folder: str) -> list[str]:
    """The lines of a job that make the worker's own folder, by a name that nobody guesses.

    All who have jobs on a node write into its ``/tmp``.
    """
    return [
        f'{_SPILL}=$(mktemp -d "{folder}/{_NAME}-$(id -u)-XXXXXXXXXX") || exit 1',
        f"trap 'rm -rf -- \"${_SPILL}\"' EXIT",
    ]


def _folder_of_keys(folder: Path) -> Path:
    """Make a folder for the keys of one cluster, seen by all nodes.

    What was left of kernels that were killed is removed.

    Raises
    ------
    GeodesError
        If others could change it.
    """
    if obstacle := ownership.make(folder):
        raise GeodesError(
            f"There is no private folder for the keys of workers: {obstacle}. Set geodes_lab.cluster.slurm.folder to a "
            "folder in your home."
        )
    here = socket.gethostname()
    for old in folder.glob(f"{here}-*"):
        if not psutil.pid_exists(int(old.name.rsplit("-", 2)[1])):
            shutil.rmtree(old, ignore_errors=True)
    private = folder / f"{here}-{os.getpid()}-{os.urandom(4).hex()}"
    private.mkdir(parents=True, mode=0o700)
    return private


def _forget(cluster: Any, keys: Path) -> None:
    """Remove the keys of a cluster that has ended.

    Dask-jobqueue holds their files open, and would remove them when it is collected.
    """
    for held in vars(cluster).values():
        if str(getattr(held, "name", "")).startswith(str(keys)):
            held.close()
    shutil.rmtree(keys, ignore_errors=True)


def _submit(cluster: Any, count: int) -> None:
    """Submit the first job here, where a refusal of the queue is seen; dask-jobqueue would only log it."""
    script = cluster.job_script()
    done = subprocess.run(["sbatch", "--test-only"], input=script, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        why = " ".join(
            done.stderr.replace("sbatch:", "").replace("error:", "").replace("allocation failure:", "").split()
        )
        raise GeodesError(
            f"SLURM refuses the workers ({why}): check geodes_lab.cluster.slurm (queue, account, cores, memory, "
            f"walltime)."
        )
    cluster.scale(jobs=count)


def _most(count: int, options: dict[str, Any], of_this: int = 0) -> int:
    """How many jobs this user may have, all clusters together, on whatever node their kernels are: the queue knows.

    Raises
    ------
    GeodesError
        If it is less than was asked for.
    """
    command = [
        "squeue",
        "--noheader",
        "--user",
        getpass.getuser(),
        "--name",
        _NAME,
        "--states",
        _COUNTED,
        "--format",
        "%i",
    ]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if listed.returncode != 0:
        raise GeodesError(
            f"SLURM does not answer ({' '.join(listed.stderr.split())}): try again later, or tell its operator."
        )
    others = len(listed.stdout.split()) - of_this
    if count + max(others, 0) > int(options["most"]):
        raise GeodesError(
            f"{count} workers are too many: the limit is {options['most']} at once (geodes_lab.cluster.slurm.most), "
            f"and {others} of yours are already in the queue. scancel --name geodes-lab ends them all."
        )
    return count


def _refuse(python: str) -> None:
    if Path(python).absolute() == Path(sys.executable).absolute():  # not resolved: two environments may share a Python
        return
    try:
        code = f"import json; print(json.dumps({versions.ASK}))"
        theirs = json.loads(
            subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        raise GeodesError(f"The Python of the workers, {python}, does not run here. {_REMEDY}") from None
    versions.refuse(theirs, f"The Python of the workers, {python},", _REMEDY)
