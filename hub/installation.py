"""This installation: the operator's file, and the launcher's choices for this start (ports, folders)."""

from __future__ import annotations

import os
import secrets
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from geodes_lab.policy.lab import Lab, load
from geodes_lab.policy.reading import Refused
from hub.services.declared import listening

HUB = Path(__file__).resolve().parent
TOP = HUB.parent
# Where the hub, its proxy's API and the services listen, unless the launcher has chosen otherwise. If the hub is root,
# the ports are below 1024: any account of the machine could take another port while it is free, and receive the lab's
# requests.
_PORTS = ("hub", "proxy", *listening(), "s3")
_LOW, _HIGH = 881, 8081
READY = "GEODES_LAB_READY"
"""Environment variable: the number of a pipe that gets one byte when the hub is ready, and closes if it ends."""


@dataclass(frozen=True)
class Installation:
    """The operator's file, and where everything is."""

    lab: Lab
    file: Path
    """The operator's file itself, which the services read too."""
    state: Path
    """The hub's files, readable for its owner alone."""

    @property
    def on_kubernetes(self) -> bool:
        """Whether the chart sets addresses, database and volumes."""
        return self.lab.servers.kind == "kubernetes"

    @property
    def listen(self) -> str:
        """Where the proxy listens."""
        port = os.environ.get("GEODES_LAB_PORT")
        return f"http://127.0.0.1:{port}" if port else self.lab.listen

    @property
    def address(self) -> str:
        """The address in people's browsers."""
        return (self.lab.address or self.listen).rstrip("/")

    @property
    def sample(self) -> Path | None:
        """The sample datalake, if a launcher made one."""
        value = os.environ.get("GEODES_LAB_SAMPLE")
        return Path(value) if value else None

    @property
    def homes(self) -> Path:
        """The folder of the homes."""
        return Path(self.lab.home.folder or self.state / "homes")

    def port(self, name: str) -> int:
        """Return where a service listens."""
        first = _LOW if os.geteuid() == 0 and self.lab.servers.kind in ("accounts", "systemd") else _HIGH
        return int(os.environ.get(f"GEODES_LAB_{name.upper()}_PORT", first + _PORTS.index(name)))

    def secret(self, name: str, make: bool = False) -> str:
        """Return a secret, from the folder of secrets or the environment.

        With ``make``, create it if it does not exist.

        Raises
        ------
        Refused
            If there is none, or others may read its file.
        """
        if held := os.environ.get(f"GEODES_LAB_{name.upper()}"):
            return held
        path = Path(self.lab.secrets or self.state / "secrets") / name
        if make and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
        try:
            text = path.read_text().strip()
        except OSError as error:
            raise Refused(
                f"The secret {name} cannot be read ({error.strerror}): write it into {path}, readable only by the hub."
            ) from None
        # Kubernetes mounts secrets for a group, in a pod with only the hub.
        if not self.on_kubernetes and path.stat().st_mode & 0o077:
            raise Refused(f"Other accounts can read the secret {path}: close it with `chmod 600 {path}`.")
        return text

    def has(self, name: str) -> bool:
        """Whether a secret with that name exists."""
        held = f"GEODES_LAB_{name.upper()}" in os.environ
        return held or (Path(self.lab.secrets or self.state / "secrets") / name).exists()


def installation() -> Installation:
    """Return this installation, from the present environment."""
    file = Path(os.environ.get("GEODES_LAB_SETTINGS") or HUB / "lab.yaml")
    try:
        stamp = file.stat().st_mtime_ns
    except OSError:
        stamp = 0
    lab = _read(file, stamp)
    return Installation(lab, file, Path(os.environ.get("GEODES_LAB_STATE") or lab.state))


@lru_cache(maxsize=4)
def _read(file: Path, stamp: int) -> Lab:
    return load(file)  # parsed once: each start of a server asks several times


def python() -> str:
    """Return the interpreter that runs the hub, and its services too."""
    return sys.executable
