"""The formats into which JupyterLab can export a notebook, kept from one start of the server to the next.

JupyterLab asks for them while it loads. To tell them nbconvert imports all its exporters, which takes a second and a
half of the server, in the moment when it is to give the first notebook. They depend on the installed packages alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.auth.decorator import authorized
from jupyter_server.services.nbconvert.handlers import NbconvertRootHandler
from jupyter_server.utils import url_path_join
from tornado.web import authenticated

_log = logging.getLogger("geodes_lab.exports")
_LARGEST = 2**16  # bytes of the file
_ASK = """
import json, os
os.nice(5)
from nbconvert.exporters import base
print(json.dumps({n: {"output_mimetype": base.get_exporter(n).output_mimetype} for n in base.get_export_names()}))
"""


def place() -> Path:
    """Return the file; its name changes with the packages that are installed."""
    packages = hashlib.sha256(sys.version.encode())
    for folder in map(Path, sys.path):
        if folder.name in ("site-packages", "dist-packages"):
            with contextlib.suppress(OSError):
                packages.update(f"{folder} {folder.stat().st_mtime_ns}\n".encode())
    return Path(jupyter_data_dir()) / "geodes-lab-exports" / f"{packages.hexdigest()[:16]}.json"


def kept(file: Path) -> dict[str, Any] | None:
    """Return the formats in the file, as Jupyter's own address tells them; None: there is no such file."""
    try:
        with file.open("rb") as opened:
            return _read(opened.read(_LARGEST))
    except OSError:
        return None


def _read(text: bytes) -> dict[str, Any] | None:
    try:
        formats = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return formats if isinstance(formats, dict) and formats else None


def keep(file: Path, formats: dict[str, Any]) -> None:
    """Write the file, and remove those of other packages; a home that is full keeps none."""
    beside = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in file.parent.glob("[0-9a-f]" * 16 + ".*"):  # our own names alone
            old.unlink()
        beside.write_text(json.dumps(formats))
        beside.replace(file)
    except OSError as error:
        _log.info("The formats of export are not kept: %s.", error)
        with contextlib.suppress(OSError):
            beside.unlink()


async def found() -> dict[str, Any] | None:
    """Ask nbconvert, in a process that lets the kernel and this server go first; None if that fails.

    What it has written whole counts, not its exit status, which is lost where something else awaits all children.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", _ASK, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    told, trouble = await process.communicate()
    formats = _read(told)
    if formats is None:
        why = trouble.decode(errors="replace").strip().rpartition("\n")[2][:200]
        _log.warning("The formats of export were not found apart (exit status %s): %r.", process.returncode, why)
    return formats


class Exports(NbconvertRootHandler):
    """What Jupyter's own handler tells."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Tell the formats that are kept, or find them."""
        file = place()
        formats = kept(file)
        if formats is None:
            formats = await found()
            if formats is None:
                if (answer := super().get()) is not None:
                    await answer
                return
            keep(file, formats)
        self.finish(json.dumps(formats))


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.exports"}]


def _load_jupyter_server_extension(app: Any) -> None:
    app.web_app.add_handlers(".*$", [(url_path_join(app.base_url, "api/nbconvert"), Exports)])
