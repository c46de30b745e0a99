"""This installation: the operator's file, and what a launcher chose for this start (ports, folders)."""

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
# Where the hub, its proxy's API and the services listen, if the launcher has not chosen otherwise: below 1024, where
# the hub is root, since any account of the machine may take another port while nobody has it, and would get what is
# meant for the lab.
_PORTS = ("hub", "proxy", *listening(), "s3")
_LOW, _HIGH = 881, 8081


@dataclass(frozen=True)
class Installation:
    """The operator's file, and where things are."""

    lab: Lab
    file: Path
    """The operator's file itself: the services read it too."""
    state: Path
    """What the hub keeps, for its owner alone."""

    @property
    def on_kubernetes(self) -> bool:
        """Whether the chart says addresses, database and volumes, not these files."""
        return self.lab.servers.kind == "kubernetes"

    @property
    def listen(self) -> str:
        """Where the proxy listens."""
        port = os.environ.get("GEODES_LAB_PORT")
        return f"http://127.0.0.1:{port}" if port else self.lab.listen

    @property
    def address(self) -> str:
        """The address that people have in their browser."""
        return (self.lab.address or self.listen).rstrip("/")

    @property
    def sample(self) -> Path | None:
        """The sample datalake, where a launcher made one."""
        found = os.environ.get("GEODES_LAB_SAMPLE")
        return Path(found) if found else None

    @property
    def homes(self) -> Path:
        """The folder of the homes."""
        return Path(self.lab.home.folder or self.state / "homes")

    def port(self, name: str) -> int:
        """Where one of the services listens."""
        first = _LOW if os.geteuid() == 0 and self.lab.servers.kind in ("accounts", "systemd") else _HIGH
        return int(os.environ.get(f"GEODES_LAB_{name.upper()}_PORT", first + _PORTS.index(name)))

    def secret(self, name: str, make: bool = False) -> str:
        """A secret, from the folder of secrets or the environment; made and kept there if it may be, and is not there.

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
                f"The secret {name} is not to be had: write it into {path}, readable for the hub alone "
                f"({error.strerror})."
            ) from None
        # Kubernetes mounts secrets for a group, in a pod that only the hub is in.
        if not self.on_kubernetes and path.stat().st_mode & 0o077:
            raise Refused(f"Others may read the secret {path}: close it with `chmod 600 {path}`.")
        return text

    def has(self, name: str) -> bool:
        """Whether there is a secret of that name."""
        held = f"GEODES_LAB_{name.upper()}" in os.environ
        return held or (Path(self.lab.secrets or self.state / "secrets") / name).exists()


def installation() -> Installation:
    """This installation, as the environment says now."""
    file = Path(os.environ.get("GEODES_LAB_SETTINGS") or HUB / "lab.yaml")
    try:
        stamp = file.stat().st_mtime_ns
    except OSError:
        stamp = 0
    lab = _read(file, stamp)
    return Installation(lab, file, Path(os.environ.get("GEODES_LAB_STATE") or lab.state))


@lru_cache(maxsize=4)
def _read(file: Path, stamp: int) -> Lab:
    return load(file)  # once: each start of a server asks several times


def python() -> str:
    """The interpreter that runs the hub runs its services too."""
    return sys.executable
