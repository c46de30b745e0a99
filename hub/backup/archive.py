"""The files of a backup: archives by GNU tar, with a sum of each, and the manifest that names them all."""

from __future__ import annotations

import contextlib
import grp
import hashlib
import json
import os
import pwd
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from hub.backup.parts import BackupError

MANIFEST = "manifest.json"
FORMAT = 1
_CHUNK = 2**20
# Owners by name where an account has one, so that a machine with other numbers gets its own; else by number. Modes,
# attributes and access lists too, and holes of files stay holes.
_KEEPS = ("--acls", "--xattrs", "--sparse", "--one-file-system")
_CHANGED = 1  # tar's status if somebody wrote a file while it was read: it is there, as it was in between


@dataclass(frozen=True)
class Entry:
    """One file of a backup."""

    file: str
    bytes: int
    sha256: str
    source: str
    """The folder that it was taken from."""
    changed: bool = False
    """Whether files were written meanwhile."""
    mode: int = 0o700
    owner: str = "root"
    group: str = "root"
    """Of that folder, for a machine that has none yet."""

    def dress(self, folder: Path) -> None:
        """Give a new folder the mode and, as root, the owner of that one."""
        if os.geteuid() == 0:
            for kind, name in (("user", self.owner), ("group", self.group)):
                with contextlib.suppress(LookupError):  # no such account here: it stays root's
                    shutil.chown(folder, **{kind: int(name) if name.isdigit() else name})
        folder.chmod(self.mode)


@dataclass(frozen=True)
class Manifest:
    """What a backup consists of."""

    made: str
    lab: str
    jupyterhub: str
    database: str
    """Where the hub's database is: ``sqlite`` or ``postgresql``; empty: in no part of this backup."""
    entries: dict[str, Entry]
    accounts: list[dict[str, Any]] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write it, with a sum of itself: last of all, so that a backup without one is not whole."""
        document = {"format": FORMAT, **asdict(self)}
        document["sha256"] = _sum(document)
        part = folder / f"{MANIFEST}.part"
        with _private(part) as target:
            target.write(json.dumps(document, indent=1).encode())
        part.replace(folder / MANIFEST)


def load(folder: Path) -> Manifest:
    """Read the manifest of a backup, and hold every file against its sum.

    Raises
    ------
    BackupError
        If something is missing, damaged, or of another version.
    """
    try:
        document = json.loads((folder / MANIFEST).read_text())
        told = document.pop("sha256")
        if document.pop("format") != FORMAT:
            raise BackupError(f"{folder} was written by another version of the lab: restore it with that version.")
        whole = _sum({"format": FORMAT, **document}) == told
        entries = {name: Entry(**entry) for name, entry in document.pop("entries").items()}
        manifest = Manifest(entries=entries, **document)
    except FileNotFoundError:
        raise BackupError(f"{folder} is no whole backup: it has no {MANIFEST}. Take another one.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupError(f"{folder / MANIFEST} is damaged ({type(error).__name__}): take another backup.") from None
    if not whole:
        raise BackupError(f"{folder / MANIFEST} was changed after the backup: take another one.")
    for entry in entries.values():
        if PurePosixPath(entry.file).name != entry.file:
            raise BackupError(f"{folder / MANIFEST} names {entry.file!r}, which is no file of a backup.")
        path = folder / entry.file
        try:
            size, total = path.stat().st_size, _sum_of(path)
        except OSError as error:
            raise BackupError(f"{path} cannot be read ({error.strerror}): take another backup.") from None
        if (size, total) != (entry.bytes, entry.sha256):
            raise BackupError(f"{path} is damaged: it is not what was written into this backup. Take another one.")
    return manifest


def pack(file: Path, folder: Path, names: Iterable[str], without: Iterable[str] = ()) -> Entry:
    """Write entries of a folder into an archive.

    Raises
    ------
    BackupError
        If something cannot be read or written.
    """
    excluded = [f"--exclude={path}" for path in without]
    command = [
        "tar", "--create", *_KEEPS, "--warning=no-file-changed", "--anchored", "--no-wildcards", *excluded,
        "--directory", str(folder), "--null", "--verbatim-files-from", "--files-from=-",
    ]  # fmt: skip
    listed = b"".join(os.fsencode(name) + b"\0" for name in names)
    with _private(file) as target:
        status, said, size, total = _run(command, target, listed)
    if status not in (0, _CHANGED):
        raise BackupError(f"{folder} cannot be copied into {file} ({_last(said)}).")
    own = folder.stat()
    owner, group = _name(pwd.getpwuid, own.st_uid), _name(grp.getgrgid, own.st_gid)
    return Entry(file.name, size, total, str(folder), status == _CHANGED, stat.S_IMODE(own.st_mode), owner, group)


def unpack(file: Path, folder: Path) -> None:
    """Write the content of an archive into a folder, with owners and modes.

    Raises
    ------
    BackupError
        If that is not possible.
    """
    command = ["tar", "--extract", "--acls", "--xattrs", "--preserve-permissions", "--directory", str(folder)]
    with file.open("rb") as source:
        done = subprocess.run(command, stdin=source, capture_output=True)
    if done.returncode != 0:
        raise BackupError(f"{file} cannot be restored into {folder} ({_last(done.stderr)}).")


def dump(file: Path, command: list[str], environment: dict[str, str], source: str) -> Entry:
    """Write what a program prints.

    Raises
    ------
    BackupError
        If it fails.
    """
    with _private(file) as target:
        status, said, size, total = _run(command, target, b"", environment)
    if status != 0:
        raise BackupError(f"{command[0]} failed ({_last(said)}).")
    return Entry(file.name, size, total, source)


def lacking(file: Path) -> str:
    """Return a file that a catalogue in an archive names, and that is not in it; empty: the catalogues are whole.

    A catalogue is changed while it is copied: its description may be older or newer than its files.
    """
    from geodes_lab.catalog.harvested import snapshot

    with tarfile.open(file) as archive:
        names = {str(PurePosixPath(n)) for n in archive.getnames()}
        for name in sorted(n for n in names if PurePosixPath(n).name == snapshot.NAME):
            content = archive.extractfile(name)
            above = PurePosixPath(name).parent
            with contextlib.suppress(ValueError, KeyError, TypeError):  # damaged before: it is kept as it is
                for listed in json.load(content)["files"] if content else ():
                    if (wanted := str(above / listed["path"])) not in names:
                        return wanted
    return ""


@contextlib.contextmanager
def _private(file: Path) -> Iterator[IO[bytes]]:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
        yield target


def _run(
    command: list[str], target: IO[bytes], given: bytes, environment: dict[str, str] | None = None
) -> tuple[int, bytes, int, str]:
    """Run a program; what it prints goes to a file, and is summed on the way."""
    total, size = hashlib.sha256(), 0
    try:
        # Files, not pipes: a program that waits for one of three pipes would wait for ever.
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as errors:
            source.write(given)
            source.seek(0)
            with subprocess.Popen(
                command, stdin=source, stdout=subprocess.PIPE, stderr=errors,
                env={**os.environ, "LC_ALL": "C", **(environment or {})},
            ) as process:  # fmt: skip
                assert process.stdout
                try:
                    while block := process.stdout.read(_CHUNK):
                        target.write(block)
                        total.update(block)
                        size += len(block)
                    target.flush()
                    os.fsync(target.fileno())
                except OSError:
                    process.kill()
                    raise
            errors.seek(0)
            return process.returncode, errors.read(), size, total.hexdigest()
    except FileNotFoundError:
        raise BackupError(f"{command[0]} is not installed: install it, and try again.") from None
    except OSError as error:
        raise BackupError(f"{target.name} cannot be written ({error.strerror}).") from None


def _name(known: Callable[[int], Any], number: int) -> str:
    try:
        return str(known(number)[0])
    except KeyError:
        return str(number)


def _sum(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _sum_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _last(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return " ".join(line for line in lines if "Exiting with failure" not in line)[-300:] or "it fails"
