"""Unix accounts of the lab's people, on one machine with root: each person's server runs as an account of its own."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

from installation import installation
from jupyterhub.spawner import LocalProcessSpawner

from geodes_lab.policy.account import account

_MARK = "GEODES Lab"


def ensure(name: str) -> pwd.struct_passwd:
    """Make the account and its home if they are not there.

    Raises
    ------
    RuntimeError
        If an account of that name is there and is not the lab's own.
    """
    here = installation()
    unix = account(name, here.lab.servers.account_prefix)
    try:
        found = pwd.getpwnam(unix)
    except KeyError:
        # Others may pass through the folder of the homes, and see no name in it.
        here.homes.mkdir(parents=True, exist_ok=True)
        here.homes.chmod(0o711)
        subprocess.run(
            ["useradd", "--user-group", "--no-create-home", "--home-dir", str(here.homes / unix), "--comment", _MARK]
            + ["--shell", "/bin/bash", unix],
            check=True,
            capture_output=True,
        )
        found = pwd.getpwnam(unix)
    if found.pw_gecos != _MARK or found.pw_uid < 1000:
        raise RuntimeError(f"The account {unix} was not made by the lab: give servers.account_prefix another prefix.")
    home = Path(found.pw_dir)
    if not home.exists():
        home.mkdir(mode=0o700)
        os.chown(home, found.pw_uid, found.pw_gid)
    return found


class AccountSpawner(LocalProcessSpawner):
    """LocalProcessSpawner, as the lab's own account of the person."""

    def make_preexec_fn(self, name):
        """Become the account in the child, just before the command runs."""
        return super().make_preexec_fn(account(name, installation().lab.servers.account_prefix))

    def user_env(self, env):
        """The account's name and home."""
        found = ensure(self.user.name)
        return {**env, "USER": found.pw_name, "HOME": found.pw_dir, "SHELL": found.pw_shell}
