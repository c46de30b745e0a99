"""DuckDB in a sandbox: it reads only the catalogue's files, loads nothing, and stops at its time limit."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from geodes_lab.errors import GeodesError


class TooLong(GeodesError):
    """A search took longer than allowed."""


@dataclass(frozen=True)
class Limits:
    """What the searches of one catalogue may use."""

    memory: int = 0
    """Bytes for all searches together; 0: DuckDB's default, most of the machine's memory."""
    seconds: float = 600
    """Seconds for one search."""
    answer: int = 0
    """Bytes of the Items in one answer, as stored; 0: no limit."""


@dataclass(frozen=True)
class Engine:
    """Connections for many searches at once: one divides its work among the cores, and one is for small searches."""

    folders: tuple[Path, ...]
    """The folders that may be read; their files may change."""
    limits: Limits = field(default_factory=Limits)

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        return self._connected(self.limits.memory - self.limits.memory // 4)

    @cached_property
    def _small(self) -> duckdb.DuckDBPyConnection:
        # To wake other cores for a small search takes more of each than it saves.
        return self._connected(self.limits.memory // 4, threads=1)

    def _connected(self, memory: int, threads: int = 0) -> duckdb.DuckDBPyConnection:
        # To check its signature, DuckDB would hash the 80 MB of the extension each time, for half a second of a core.
        # The file is the package's own, whose hash is in the lock file; the closed sandbox loads nothing more.
        connection = duckdb.connect(config={"allow_community_extensions": "false", "allow_unsigned_extensions": "true"})
        connection.load_extension(_spatial())
        below = [f"{f.expanduser().absolute()}/" for f in self.folders]
        values: dict[str, Any] = {
            "parquet_metadata_cache": True,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_persistent_secrets": False,
            "temp_directory": "",  # nothing is written, not even what does not fit in memory
            "python_enable_replacements": False,
            **({"threads": threads} if threads else {}),
            **({"memory_limit": f"{memory} B"} if memory else {}),
            "allowed_directories": below,
            "enable_external_access": False,
            "lock_configuration": True,
        }
        for name, value in values.items():
            connection.execute(f"SET {name} = {_literal(value)}")
        return connection

    def rows(self, text: str, values: Sequence[Any], *, small: bool = False) -> list[tuple[Any, ...]]:
        """Return the rows of a statement; a ``small`` one has one core and a quarter of the memory, if that is enough.

        Raises
        ------
        TooLong
            If it exceeds the time limit.
        """
        if small:
            with contextlib.suppress(duckdb.OutOfMemoryException):
                return self._rows(self._small.cursor(), text, values)
        return self._rows(self._connection.cursor(), text, values)

    def _rows(self, cursor: duckdb.DuckDBPyConnection, text: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        over, done = threading.Event(), threading.Event()

        def stop() -> None:
            over.set()
            # Repeated, because an interrupt before the statement starts has no effect.
            while not done.wait(0.1):
                cursor.interrupt()

        timer = threading.Timer(self.limits.seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            fetched: list[tuple[Any, ...]] = cursor.execute(text, list(values)).fetchall()
            return fetched
        except duckdb.InterruptException as error:
            if not over.is_set():
                raise
            raise TooLong(
                f"The search took longer than {self.limits.seconds:g} s: search for less, such as one collection, a "
                "shorter time or a smaller area."
            ) from error
        finally:
            done.set()
            timer.cancel()


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, str):
        doubled = value.replace("'", "''")
        return f"'{doubled}'"
    return str(value).lower()


def _spatial() -> str:
    """Return the extension's file: from its package, because the lab downloads nothing while it runs."""
    import duckdb_extension_spatial

    folder = Path(duckdb_extension_spatial.__file__).parent
    try:
        return str(next(folder.glob(f"extensions/v{duckdb.__version__}/*.duckdb_extension")))
    except StopIteration:
        raise GeodesError(
            f"duckdb-extension-spatial has another version than DuckDB {duckdb.__version__}: install the same "
            "version of both."
        ) from None
