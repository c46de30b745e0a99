"""The whole lab on one machine: sample datalake, hub, one link. ``python -m hub.lab``, or ``make lab``."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

import psutil

from geodes_lab.sample.edition import is_complete
from hub.front import proxy
from hub.installation import READY
from hub.services.declared import listening

HERE = Path(__file__).resolve().parent
TOP = HERE.parent


class LabError(Exception):
    """The lab did not start; the message says why, in a sentence."""


class Lab:
    """A hub and everything that it starts; a context manager that leaves no process behind.

    Parameters
    ----------
    state
        The folder with the sample datalake, the user's home and the hub's database.
    port
        The port on 127.0.0.1; 0: any free port.
    datalake
        ``files``: the sample is read from disk; ``s3``: through an S3 server on loopback.
    sample
        The folder of the sample datalake, completed if needed; None: in ``state``.
    """

    def __init__(self, state: Path, port: int = 0, datalake: str = "files", sample: Path | None = None) -> None:
        self.state = state.resolve()
        self.sample = (sample or state / "sample").resolve()
        self.port = port or _free_port()
        self.datalake = datalake
        self.secret = secrets.token_urlsafe(24)
        self.run = secrets.token_hex(8)
        self.hub: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The link that logs in, once."""
        return f"http://127.0.0.1:{self.port}/hub/link?token={self.secret}"

    def __enter__(self) -> Lab:
        _adopt_orphans()
        if not self.state.exists():
            self.state.mkdir(parents=True, mode=0o700)
        elif self.state.stat().st_mode & 0o077:
            raise LabError(
                f"{self.state} is open to other accounts: choose another folder, or close it with `chmod 700 "
                f"{self.state}`."
            )
        self._lock = (self.state / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LabError(
                f"A lab already runs with {self.state}: stop it first, or choose another folder with --state."
            ) from None
        if not _is_free(self.port):
            raise LabError(
                f"Port {self.port} is already in use: stop the program that uses it, or choose another port with "
                "`make lab PORT=8001`."
            )
        self._write_sample()
        if self.datalake == "s3":  # the server makes this folder where it is missing; as a service it may write nothing
            (self.sample / "datalake" / ".nanio" / "multipart").mkdir(parents=True, exist_ok=True)
        secret = self.state / "login_secret"
        secret.unlink(missing_ok=True)
        secret.touch(mode=0o600)
        secret.write_text(self.secret)
        # For sockets, whose paths must be short: in a private folder below /tmp.
        self.sockets = tempfile.mkdtemp(prefix="geodes-lab-", dir="/tmp")
        self.log = self.state / "hub.log"
        ready, told = os.pipe()
        with self.log.open("wb") as log:
            self.hub = subprocess.Popen(
                [sys.executable, "-m", "hub.application", "-f", str(HERE / "jupyterhub_config.py")],
                cwd=self.state,
                env={**self._environment(), READY: str(told)},
                pass_fds=[told],
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches only this process, which stops the hub, and the hub its servers
                start_new_session=True,
            )
        os.close(told)
        try:
            with os.fdopen(ready, "rb") as pipe:
                self._wait(pipe)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the hub, which stops its servers; then end all remaining processes."""
        if self.hub and self.hub.poll() is None:
            self.hub.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.hub.wait(20)
        left = [p for p in psutil.Process().children(recursive=True) if self._is_ours(p)]
        for stop in (psutil.Process.terminate, psutil.Process.kill):
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    stop(process)
            _, left = psutil.wait_procs(left, timeout=5)
        shutil.rmtree(self.sockets, ignore_errors=True)
        self._lock.close()

    def _is_ours(self, process: psutil.Process) -> bool:
        """Whether this lab started a process: all of its processes have its mark in their environment."""
        try:
            return process.environ().get("GEODES_LAB_RUN") == self.run
        except psutil.Error:
            return False

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}",
            "GEODES_LAB_RUN": self.run,
            "GEODES_LAB_STATE": str(self.state),
            "GEODES_LAB_RUNTIME": self.sockets,
            "GEODES_LAB_SAMPLE": str(self.sample),
            "GEODES_LAB_PORT": str(self.port),
            "GEODES_LAB_HUB_PORT": str(_free_port()),
            "GEODES_LAB_PROXY_PORT": str(_free_port()),
            "GEODES_LAB_S3_PORT": str(_free_port()),
            **{f"GEODES_LAB_{name.upper()}_PORT": str(_free_port()) for name in listening()},
            "GEODES_LAB_DATALAKE": self.datalake,
            "GEODES_LAB_PROXY": json.dumps(proxy.command()),
        }

    def _write_sample(self) -> None:
        """Write the sample datalake if it is not there, in a process that imports what that needs."""
        if is_complete(self.sample):
            return
        written = subprocess.run([str(Path(sys.prefix) / "bin" / "geodes-lab"), "sample", str(self.sample)])
        if written.returncode != 0:  # it has printed the reason
            raise LabError(f"The sample datalake could not be written into {self.sample}.")

    def _wait(self, ready: IO[bytes], seconds: float = 180) -> None:
        """Wait until the hub says that it is ready, or has ended."""
        if not select.select([ready], [], [], seconds)[0]:
            raise LabError(
                f"The hub was not ready in {seconds:.0f} s; the last lines of {self.log} are:\n{_tail(self.log)}"
            )
        if not ready.read(1):
            raise LabError(f"The hub did not start; the last lines of {self.log} are:\n{_tail(self.log)}")


def _adopt_orphans() -> None:
    """Become the parent of processes whose own parent ends (Linux), so that none remains when the lab stops."""
    if sys.platform == "linux":
        pr_set_child_subreaper = 36
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-12:])


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(description="Start the whole lab on this machine.")
    parser.add_argument(
        "--state", type=Path, default=TOP / ".lab", help="folder for the state of the lab (default: .lab)"
    )
    parser.add_argument("--port", type=int, default=8000, help="port on 127.0.0.1 (default: 8000; 0: any free port)")
    parser.add_argument("--datalake", choices=["files", "s3"], default="files", help="how the sample is read")
    options = parser.parse_args()
    # `kill`, and closing the terminal, work like Ctrl-C. Ctrl-C is set too, because a shell that starts this in the
    # background ignores it.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)
    if not 0 <= options.port < 65536:
        print(
            f"{options.port} is not a valid port: choose one from 1024 to 65535 with `make lab PORT=8001`.",
            file=sys.stderr,
        )
        return 1
    try:
        with Lab(options.state, options.port, options.datalake) as lab:
            print(
                f"\nGEODES Lab is ready. Open this link; it works once:\n\n    {lab.url}\n\nCtrl-C stops it.",
                flush=True,
            )
            assert lab.hub is not None
            lab.hub.wait()
            print(f"The hub stopped unexpectedly; the last lines of {lab.log} are:\n{_tail(lab.log)}", file=sys.stderr)
            return 1
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe lab has stopped.", flush=True)
        return 0


if __name__ == "__main__":
    sys.exit(main())
