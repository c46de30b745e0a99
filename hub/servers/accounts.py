"""Unix accounts of the lab's people, on one machine with root: each person's server runs as an account of its own."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

from traitlets.log import get_logger

from geodes_lab.policy.account import account
from geodes_lab.util import executable, ownership
from geodes_lab.util.disk import project_quota
from hub.installation import TOP, installation, python
from hub.servers.held import HeldPort

MARK = "GEODES Lab"
"""What accounts of the lab are called for people; no other account is touched."""
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_ROOT = 0
_PASSES = 0o001  # others may pass through a folder


def ensure(name: str) -> pwd.struct_passwd:
    """Make the account and its home if they are not there, and look at what is there.

    Whose it is, and who could change it.

    Raises
    ------
    RuntimeError
        If an account of that name is there and is not the lab's own, or its home is somebody else's.
    """
    here = installation()
    unix = account(name, here.lab.servers.account_prefix)
    try:
        found = pwd.getpwnam(unix)
    except KeyError:
        _homes(here.homes)
        add(unix, here.homes / unix)
        found = pwd.getpwnam(unix)
    if found.pw_gecos != MARK or found.pw_uid < 1000:
        raise RuntimeError(f"The account {unix} does not belong to the lab: choose another servers.account_prefix.")
    _home(found)
    return found


def limit(found: pwd.struct_passwd, most: int) -> None:
    """Hold an account's home to a number of bytes, where its file system can; 0: as many as the disk takes.

    Where it cannot, the person's own server refuses what it writes itself (``hub/singleuser/home/contents.py``), and
    the start is not refused: a full home is one thing more that a person needs a server for.
    """
    home = Path(found.pw_dir)
    mount = project_quota.mount_of(home)
    if mount is None or not mount.enforces or (not most and project_quota.held(home) is None):
        return
    try:
        project_quota.hold(home, found.pw_uid, most)
    except project_quota.QuotaError as error:
        get_logger().warning("No quota of the file system: %s.", error)


def runtime(found: pwd.struct_passwd) -> Path:
    """Give the folder of the sockets of an account, made if needed, which no other account passes through.

    It is below ``/run/geodes-lab``, by a short name, since the path of a socket has 107 characters at most.

    Raises
    ------
    RuntimeError
        If others could change it.
    """
    above = runtimes()
    above.mkdir(exist_ok=True, mode=0o711)
    _refuse(ownership.fault(above, _ROOT), "The folder of the servers' sockets")
    above.chmod(0o711)
    own = above / found.pw_name
    if os.path.lexists(own) and not _is_of(own, found.pw_uid):
        # Root alone writes there: it is of an account of that name that is no more.
        shutil.rmtree(own) if own.is_dir() and not own.is_symlink() else own.unlink()
    if not own.exists():
        own.mkdir(mode=0o700)
        os.chown(own, found.pw_uid, found.pw_gid, follow_symlinks=False)
    own.chmod(0o700)
    return own


def runtimes() -> Path:
    """The folder of these folders."""
    return Path(os.environ.get("GEODES_LAB_RUNTIMES") or "/run/geodes-lab")


_can_run: set[str] = set()


def unusable() -> str:
    """Say why no person's server can start as an account of its own, whoever it is; empty if it can.

    It is tried until it succeeds, so that what is mended needs no new start of the hub.
    """
    interpreter = python()
    if interpreter not in _can_run:
        if obstacle := executable.fault(
            interpreter, TOP / "hub/singleuser/start.py", modules=("jupyterhub", "geodes_lab")
        ):
            return obstacle
        _can_run.add(interpreter)
    return ""


def add(unix: str, home: Path, number: int = 0) -> None:
    """Make an account, with this number; 0: the next that is free."""
    if not _NAME.fullmatch(unix):
        raise RuntimeError(
            f"{unix} is not a possible name of an account: set servers.account_prefix to a short prefix of small "
            "letters, digits, - and _."
        )
    command = ["useradd", "--user-group", "--no-create-home", "--home-dir", str(home), "--comment", MARK]
    command += ["--uid", str(number)] if number else []
    outcome = subprocess.run([*command, "--shell", "/bin/bash", "--", unix], capture_output=True, text=True)
    if outcome.returncode != 0:
        raise RuntimeError(f"The account {unix} cannot be created ({' '.join(outcome.stderr.split())}).")


def _homes(homes: Path) -> None:
    """Make the folder of the homes; others may pass through it, and see no name in it."""
    homes.mkdir(parents=True, exist_ok=True)
    _refuse(ownership.fault(homes, _ROOT), "The folder of the homes")
    homes.chmod(0o711)


def _reachable(home: Path, found: pwd.struct_passwd) -> None:
    """Refuse a home that its account cannot come to: its server would take it for a full one."""
    closed = [f for f in reversed(home.absolute().parents) if not f.stat().st_mode & _PASSES]
    if not closed:
        return
    # A group or an access list may let the account pass: it is tried.
    groups = os.getgrouplist(found.pw_name, found.pw_gid)
    command = ["test", "-x", str(home)]
    there = subprocess.run(command, user=found.pw_uid, group=found.pw_gid, extra_groups=groups, cwd="/")
    if there.returncode != 0:
        raise RuntimeError(
            f"People cannot reach their homes in {home.parent}, because {closed[0]} is closed to them: set home.folder "
            "to a folder that all accounts can pass through, such as /home/geodes-lab."
        )


def _home(found: pwd.struct_passwd) -> None:
    """Make the home of an account, or refuse one that is not its own."""
    home = Path(found.pw_dir)
    _refuse(ownership.fault(home.parent, _ROOT), f"The home of {found.pw_name}")
    if not os.path.lexists(home):
        if home.parent == installation().homes:
            _homes(home.parent)
        home.mkdir(mode=0o700)
        os.chown(home, found.pw_uid, found.pw_gid, follow_symlinks=False)
    elif not _is_of(home, found.pw_uid):
        raise RuntimeError(
            f"The home {home} is not a folder of the account {found.pw_name}: move it away, or change its owner with "
            f"`chown -R {found.pw_name}: {home}`."
        )
    _reachable(home, found)


def _is_of(path: Path, uid: int) -> bool:
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == uid


def _refuse(obstacle: str, what: str) -> None:
    if obstacle:
        raise RuntimeError(
            f"{what} is not safe: {obstacle}. Root must own it and all folders above it, and other accounts must not "
            "be able to write there."
        )


class AccountSpawner(HeldPort):
    """LocalProcessSpawner, as the lab's own account of the person."""

    def make_preexec_fn(self, name: str) -> Callable[[], None]:
        """Become the account in the child, just before the command runs."""
        return super().make_preexec_fn(account(name, installation().lab.servers.account_prefix))

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        """The account's name and home."""
        found = ensure(self.user.name)
        return {**env, "USER": found.pw_name, "HOME": found.pw_dir, "SHELL": found.pw_shell}
