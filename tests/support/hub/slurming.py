"""A SLURM of one node on loopback: Debian's slurmctld and slurmd, with a configuration and folders of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.awaiting import awaited
from tests.support.hub.gatewaying import free

needs_slurm = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("slurmctld", "slurmd", "sbatch"))),
    reason="SLURM is tested as root, with Debian's packages slurmctld, slurmd and slurm-client",
)

CONFIG = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={controller}
SlurmdPort={node}
ReturnToService=2
MpiDefault=none
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=lab Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def slurm(folder: Path) -> Iterator[Path]:
    """Run it; gives its configuration file, for SLURM_CONF."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    said = {"host": socket.gethostname().partition(".")[0], "folder": folder, "controller": free(), "node": free()}
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(**said, cpus=max(os.cpu_count() or 1, 2)))
    environment = {**os.environ, "SLURM_CONF": str(config)}
    started = []
    try:
        for name in ("slurmctld", "slurmd"):
            with (folder / f"{name}.out").open("wb") as out:
                started.append(subprocess.Popen([name, "-D"], env=environment, stdout=out, stderr=subprocess.STDOUT))

        def is_idle() -> bool:
            for process, name in zip(started, ("slurmctld", "slurmd"), strict=True):
                assert process.poll() is None, (folder / f"{name}.out").read_text()[-2000:]
            told = subprocess.run(
                ["sinfo", "-h", "-o", "%t"], env=environment, capture_output=True, text=True, timeout=20
            )
            return told.stdout.strip() == "idle"

        awaited(is_idle, 180)
        yield config
        # A job that ends tells the controller so: without one it would wait for it.
        awaited(
            lambda: not subprocess.run(["squeue", "-h"], env=environment, capture_output=True, timeout=20).stdout, 60
        )
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(30)
