"""Runs a service of the lab as a separate user without rights.

``python -m hub.services.confined --name home --keeps FOLDER … -- COMMAND``.

As root (the hub of several people) the service gets its own user and group number, which owns one folder and nothing
else. It has no capability, and cannot get one. Its view of the file system is read-only except for that folder and a
private ``/tmp``, and hides the hub's state, the homes and everything that is closed to others. ``--reads`` shows what
it needs of those. This corresponds to systemd's DynamicUser, NoNewPrivileges and ProtectSystem, on every Linux machine.

This process stays, as root, and does three things: it holds the port, so that no account of the machine can take it; it
copies secrets that the operator renews; and it ends with the hub. It reads no input from users.

Without root (``make lab``) there is only one user: the service has that user's rights at most.

With ``--when-asked`` the service starts at the first connection to its port.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import grp
import hashlib
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hub.services.service_secrets import Secrets
from hub.services.view import View, ViewError

_FIRST, _MANY = 2_000_000_000, 100_000_000  # numbers that no account of a system has
_FEW = 61_184  # for systems without such large numbers: the first of those that systemd assigns too
_EVERY = 5.0  # seconds between two checks of the secrets
_GIB = 2**30
_WHEN_ASKED = "--when-asked"


def is_when_asked(command: Sequence[str]) -> bool:
    """Whether a command of this module starts its service when its port is asked."""
    return _WHEN_ASKED in command[: command.index("--")] if "--" in command else False


class ConfinedError(Exception):
    """The service does not start; the message says why, and what to do."""


def number(state: Path, name: str) -> int:
    """Return the user number of a service, different for each lab and service."""
    mark = int.from_bytes(hashlib.sha256(f"{state}\0{name}".encode()).digest()[:8])
    known = Path("/proc/self/uid_map").read_text().splitlines()
    most = max(int(start) + int(count) for start, _, count in map(str.split, known))
    return _FIRST + mark % _MANY if most > _FIRST + _MANY else _FEW + mark % 4000


def own(folder: Path, user: int) -> None:
    """Make a user the owner of a folder, and of its content if it belonged to somebody else."""
    if folder.lstat().st_uid == user:
        return
    for place, names, files in os.walk(folder):
        for one in (*names, *files):
            os.chown(Path(place) / one, user, user, follow_symlinks=False)
    os.chown(folder, user, user, follow_symlinks=False)
    folder.chmod(0o700)


def groups_of(reads: list[Path]) -> list[int]:
    """Return the groups that may read what a service needs, if not everybody may."""
    numbers = {
        status.st_gid
        for status in (p.stat() for p in reads if p.exists())
        if status.st_mode & 0o005 != 0o005 and status.st_mode & 0o050 == 0o050
    }
    return sorted(numbers - {0})


class Service:
    """One service.

    Parameters
    ----------
    told
        The arguments of the command line.
    """

    def __init__(self, told: argparse.Namespace) -> None:
        self._told = told
        self._reads = [Path(p) for p in told.reads if p]
        self._root = os.geteuid() == 0

    def run(self) -> int:
        """Start it, wait for it, and return its exit status."""
        _end_with_parent()
        os.umask(0o022)  # the hub's own umask would hide files that the service must see
        keeps, listening = Path(self._told.keeps), self._listen()
        if listening and self._told.when_asked:  # whoever asks waits in the queue of the port until it answers
            select.select([listening], [], [])
        if not self._root:
            keeps.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._move(keeps)
            return self._stay(self._started([], listening, Path(self._told.secrets)))
        user = number(Path(self._told.state), self._told.name)
        # Opened before they are hidden: through this descriptor the service gets new ones too.
        secrets = _folder(self._told.secrets)
        keeps.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._move(keeps):
            os.chown(keeps, 0, 0)  # the moved files belong to the service too
        own(keeps, user)
        try:
            View(hidden=[self._told.state, *self._told.hides], shown=[*self._reads, *_program()], owned=keeps).enter()
        except ViewError as error:
            if not self._told.lenient:
                raise ConfinedError(
                    f"The service {self._told.name} cannot be confined: {error}. A hub of several people needs Linux "
                    "as root, with mount namespaces."
                ) from None
            print(
                f"[confined] WARNING {self._told.name} has the rights of this user: {error}",
                file=sys.stderr,
                flush=True,
            )
            own(keeps, 0)
            return self._stay(self._started([], listening, Path(self._told.secrets)))
        Secrets.made(user)
        brought = Secrets(user, secrets, self._told.secret)
        brought.bring()
        brought.write("lab.yaml", self._told.text)
        rights = [f"--reuid={user}", f"--regid={user}", *_capabilities(self._told.capability)]
        groups = groups_of(self._reads)
        rights += [f"--groups={','.join(map(str, groups))}"] if groups else ["--clear-groups"]
        self._check(rights)
        return self._stay(self._started(rights, listening, Secrets.FOLDER), brought.bring)

    def _move(self, keeps: Path) -> bool:
        """Move the files that an earlier version of the lab kept beside the hub's own.

        Return whether there were any.
        """
        moved = False
        for name in self._told.former:
            before, now = Path(self._told.state) / name, keeps / name
            if before.exists() and not now.exists():
                before.rename(now)
                moved = True
        return moved

    def _started(self, rights: list[str], listening: socket.socket | None, secrets: Path) -> subprocess.Popen[bytes]:
        shown = self._root and secrets == Secrets.FOLDER
        environment = {
            **os.environ,
            "GEODES_LAB_STATE": self._told.keeps,
            "GEODES_LAB_SETTINGS": str(secrets / "lab.yaml") if shown else self._told.settings,
            "GEODES_LAB_SECRETS": str(secrets),
            **({"HOME": self._told.keeps} if shown else {}),
            **({"GEODES_LAB_LISTEN": str(listening.fileno())} if listening else {}),
        }
        passed = [listening.fileno()] if listening else []
        # Its own folder, because libraries look for settings in the working directory (.env).
        command, folder = self._command(rights), self._told.keeps
        return subprocess.Popen(command, env=environment, cwd=folder, pass_fds=passed, preexec_fn=_limit)

    def _command(self, rights: list[str]) -> list[str]:
        setpriv = shutil.which("setpriv", path="/usr/bin:/bin")
        if setpriv is None:
            if self._root and not self._told.lenient:
                raise ConfinedError("setpriv is not installed: install util-linux.")
            return list(self._told.command)
        return [setpriv, "--no-new-privs", *rights, "--", *self._told.command]

    def _listen(self) -> socket.socket | None:
        """Bind the port; the socket is passed to the service, and stays bound while the service restarts."""
        if not self._told.port:
            return None
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self._told.port))
        except OSError as error:
            raise ConfinedError(
                f"The service {self._told.name} cannot listen on port {self._told.port}: {error.strerror}. Stop the "
                "program that uses this port."
            ) from None
        listener.listen(1024)
        return listener

    def _check(self, rights: list[str]) -> None:
        """Report what the service will not be able to read, before it fails."""
        for path in (p for p in self._reads if p.exists() and not self._told.capability):
            probe = ["test", "-r", str(path), "-a", "-x" if path.is_dir() else "-r", str(path)]
            if subprocess.run([*self._command(rights)[: -len(self._told.command)], *probe]).returncode:
                status = path.stat()
                print(
                    f"[confined] ERROR The service {self._told.name} cannot read {path}: it is closed to others, and "
                    f"belongs to {_group(status.st_gid)} with mode {status.st_mode & 0o777:o}. Give it a group with "
                    f"read access, such as `chgrp geodes-lab {path}; chmod 750 {path}`: the service is in that "
                    "group, and users are not.",
                    file=sys.stderr, flush=True,
                )  # fmt: skip

    def _stay(self, child: subprocess.Popen[bytes], look: object = None) -> int:
        def forward(signum: int, _: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signum)

        for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(name, forward)
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = child.wait(_EVERY if callable(look) else None)
                return 128 - status if status < 0 else status
            if callable(look):
                look()


def _program() -> list[Path]:
    """Return what the service itself consists of: the interpreter, its packages, and the lab."""
    here = Path(__file__).resolve()
    return [Path(sys.prefix), Path(sys.base_prefix), Path(os.path.realpath(sys.executable)).parent, here.parents[2]]


def _capabilities(capability: str) -> list[str]:
    if not capability:
        return ["--bounding-set=-all", "--inh-caps=-all"]
    return [
        f"--bounding-set=-all,+{capability}",
        f"--inh-caps=-all,+{capability}",
        f"--ambient-caps=-all,+{capability}",
    ]


def _limit() -> None:
    """Limit the resources of the service.

    Its memory is limited, its files are private, and it writes no core dump.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    most = int(os.environ.get("GEODES_LAB_MEMORY", 4 * _GIB))
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard < 0 else min(most, hard), hard))


def _folder(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None


def _group(gid: int) -> str:
    try:
        return f"the group {grp.getgrgid(gid).gr_name}"
    except KeyError:
        return f"the group {gid}"


def _end_with_parent() -> None:
    if sys.platform == "linux":
        parent_death_signal = 1
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGTERM, 0, 0, 0)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a service of the lab as a user of its own without rights.")
    parser.add_argument("--name", required=True)
    parser.add_argument("--state", required=True, help="the state of the hub: hidden from the service")
    parser.add_argument("--keeps", required=True, help="the folder that the service owns")
    parser.add_argument("--settings", default="", help="the operator's file")
    parser.add_argument("--secrets", default="", help="the folder of secrets")
    parser.add_argument("--secret", action="append", default=[], help="the name of a secret that this service gets")
    parser.add_argument("--reads", action="append", default=[], help="further files that it reads: visible, read-only")
    parser.add_argument("--hides", action="append", default=[], help="further files that are hidden from it")
    parser.add_argument(
        "--former", action="append", default=[], help="files of an earlier version in the state, moved into its folder"
    )
    parser.add_argument("--capability", default="", help="the capability that it needs, such as dac_read_search")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument(_WHEN_ASKED, action="store_true", help="start the command when its port is first asked")
    parser.add_argument(
        "--lenient", action="store_true", help="for a lab of one person: continue if the system cannot confine services"
    )
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    arguments.text = Path(arguments.settings).read_bytes() if arguments.settings else b""
    try:
        return Service(arguments).run()
    except ConfinedError as error:
        print(f"[confined] ERROR {error}", file=sys.stderr, flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
