"""The secrets that one service may read, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class Secrets:
    """The operator's file and a service's secrets, in a folder that only the service can read.

    They are copied again when they change, because operators renew them.

    Parameters
    ----------
    user
        The user number of the service.
    source
        A descriptor of the folder with all secrets; None: there is none.
    names
        The names of the service's secrets.
    """

    FOLDER = Path("/tmp/geodes-lab-secrets")

    def __init__(self, user: int, source: int | None, names: list[str]) -> None:
        self._user, self._source, self._names = user, source, names
        self._written: dict[str, bytes] = {}

    @classmethod
    def made(cls, user: int) -> None:
        """Create the folder: it belongs to root, so that the service cannot redirect a writer."""
        cls.FOLDER.mkdir(mode=0o750)
        os.chown(cls.FOLDER, 0, user)

    def bring(self) -> None:
        """Copy the secrets that have changed."""
        for name in self._names if self._source is not None else ():
            with contextlib.suppress(OSError):
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=self._source)
                with os.fdopen(descriptor, "rb") as file:
                    self.write(name, file.read(2**16))

    def write(self, name: str, data: bytes) -> None:
        """Write one, whole or not at all."""
        if self._written.get(name) == data:
            return
        part = self.FOLDER / f".{name}"
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o440), "wb") as file:
            os.fchown(file.fileno(), 0, self._user)
            os.fchmod(file.fileno(), 0o440)
            file.write(data)
        part.replace(self.FOLDER / name)
        self._written[name] = data
