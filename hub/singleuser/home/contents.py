"""Files as JupyterLab saves, uploads and copies them: refused where the home's quota leaves no room.

Reading, downloading, renaming and deleting go on, and so does a save that makes a file smaller. Terminals and kernels
write without asking: only a quota of the file system holds them.
"""

from __future__ import annotations

import asyncio
import errno
import json
import math
import os
from pathlib import Path
from typing import Any

from tornado.web import HTTPError

from geodes_lab.util.disk import disk_use
from hub.singleuser import tongue
from hub.singleuser.home.meter import meter

try:
    # Where there is Jupytext, it would put its own manager upon any other, and call each refusal an unexpected error.
    from jupytext.async_contentsmanager import (  # type: ignore[import-untyped]
        AsyncTextFileContentsManager as _Manager,
    )
except ImportError:
    from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager as _Manager

FULL = 507
_BLOCK = 4096  # bytes that even an empty file or folder may take
_NO_ROOM = (errno.EDQUOT, errno.ENOSPC)
_SYSTEM = {
    "en": "The disk takes no more ({reason}): your quota or the disk is full. Nothing was saved. Delete files that you "
    "no longer need: the page geodes/space of your server shows the largest. You can still open and download all your "
    "files.",
    "fr": "Le disque ne prend plus rien ({reason}) : votre quota ou le disque est épuisé. Rien n'a été enregistré. "
    "Supprimez des fichiers dont vous n'avez plus besoin : la page geodes/space de votre serveur montre les plus gros. "
    "Vous pouvez toujours ouvrir et télécharger tous vos fichiers.",
}


class Contents(_Manager):
    """Jupyter's own manager of files, within the quota."""

    async def save(self, model: dict[str, Any], path: str = "") -> dict[str, Any]:
        """Save or upload, or make a new file, notebook or folder."""
        file, chunk = Path(self._get_os_path(path.strip("/"))), model.get("chunk")
        growth = _growth(model, file)
        try:
            await _check(file, growth)
            saved: dict[str, Any] = await super().save(model, path)
        except HTTPError as error:
            reason = _no_room(error)
            if chunk is not None and chunk != 1 and (reason or error.status_code == FULL):
                file.unlink(missing_ok=True)  # a part of an upload would look like the whole
            if reason:
                raise HTTPError(FULL, _SYSTEM[tongue.now()].format(reason=reason)) from error
            raise
        if _is_in_home(file):
            meter().grew(max(growth, 0))
        return saved

    async def copy(self, from_path: str, to_path: str | None = None) -> dict[str, Any]:
        """Copy a file or a folder; a file comes by `save`."""
        source = Path(self._get_os_path(from_path.strip("/")))
        above = Path(self._get_os_path(to_path.strip("/"))) if to_path is not None else source.parent
        if source.is_dir():
            await _check(above / source.name, await _weight(source))
        copied: dict[str, Any] = await super().copy(from_path, to_path)
        return copied

    async def rename_file(self, old_path: str, new_path: str) -> None:
        """Rename; what comes from another place, such as a group's folder, makes the home larger."""
        old, new = (Path(self._get_os_path(p.strip("/"))) for p in (old_path, new_path))
        if os.path.lexists(old) and not _is_in_home(old):
            await _check(new, await _weight(old))
        await super().rename_file(old_path, new_path)


async def _weight(source: Path) -> int:
    return await asyncio.to_thread(lambda: disk_use.of(source)) or _BLOCK


async def _check(file: Path, growth: int) -> None:
    if growth > 0 and _is_in_home(file) and (sentence := await meter().refusal(growth)):
        raise HTTPError(FULL, sentence)


def _is_in_home(file: Path) -> bool:
    """Whether a file is one of the home, and not of what links in it lead to."""
    return Path(os.path.realpath(file.parent)).is_relative_to(meter().home)


def _growth(model: dict[str, Any], file: Path) -> int:
    """By how many bytes a save makes the home larger; copies for going back (checkpoints) are left out."""
    chunk = model.get("chunk")
    try:
        there = file.stat().st_blocks * 512 if chunk in (None, 1) else 0
    except OSError:
        there = 0
    size = max(math.ceil(_size(model) / _BLOCK), 1) * _BLOCK
    return 0 if model.get("type") == "directory" and there else size - there


def _size(model: dict[str, Any]) -> int:
    content = model.get("content")
    if isinstance(content, str):
        return len(content) * 3 // 4 if model.get("format") == "base64" else len(content.encode(errors="replace"))
    return 0 if content is None else len(json.dumps(content, ensure_ascii=False, indent=1).encode(errors="replace"))


def _no_room(error: BaseException | None) -> str:
    """What the system says, if it had no room; Jupyter and Jupytext raise errors of their own then."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return os.strerror(error.errno)
        error = error.__cause__ or error.__context__
    return ""
