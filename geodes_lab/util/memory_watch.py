"""A record of a kernel's memory, so that the next kernel can say why this one ended.

It imports nothing but the standard library and Dask's configuration, because it runs when a kernel starts.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import resource
import threading
from functools import cache
from pathlib import Path
from typing import Any

from geodes_lab.util import user_folder

_EVERY = 1.0  # seconds
_MOST = 0.75  # of the memory: a kernel that ended with more was killed for it
_MB = 2**20
_GROUPS = Path("/sys/fs/cgroup")
# Limits of the control group, of either version, hard and soft.
_LIMITS = (
    "memory/memory.limit_in_bytes",
    "memory/memory.soft_limit_in_bytes",
    "memory.max",
    "memory.high",
    "memory.low",
)


def watch(name: str) -> str:
    """Record the memory of this process from now on; return why the previous one ended, if memory was the reason.

    Parameters
    ----------
    name
        What stays the same when a kernel restarts: its connection file.

    Returns
    -------
    str
        A sentence, or an empty text.
    """
    path = user_folder.folder("kernels") / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"
    explanation = _explained(path)
    atexit.register(path.unlink, missing_ok=True)  # a killed process does not reach this
    threading.Thread(target=_note, args=(path, threading.Event()), name="vitals", daemon=True).start()
    return explanation


def _note(path: Path, never: threading.Event) -> None:
    noted = -1
    while True:
        now = _now()
        if abs(now["own"] - noted) > _MB:
            noted = now["own"]
            with contextlib.suppress(OSError):  # a full disk
                user_folder.write(path, json.dumps(now))
        never.wait(_EVERY)


def _explained(path: Path) -> str:
    try:
        last: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return ""
    path.unlink(missing_ok=True)
    now, of = _now(), last["limit"]
    by_the_group = now["kills"] > last["kills"]
    if not of or not (by_the_group or max(last["own"], last["all"]) > _MOST * of):
        return ""
    beside = f", its server {_said(last['all'])}" if last["all"] > last["own"] else ""
    return (
        f"The kernel was killed because it used too much memory: {_said(last['own'])}{beside}, of {_said(of)}. Its "
        "variables are lost. Keep large results on the workers: reduce before .compute(), write with gl.save, view "
        "with gl.plot; gl.plan estimates the memory of a result. Or choose a larger profile of the server."
    )


def _now() -> dict[str, int]:
    """Return bytes of this process, of its control group, the limit, and how many processes were killed there."""
    pages = ([*_text(Path("/proc/self/statm")).split(), "0", "0"])[1]
    group = _group()
    most = _number(group / "memory.max")
    limits = [most, int(os.environ.get("MEM_LIMIT") or 0), _machine()]
    events = {k: int(v) for k, v in (line.split() for line in _text(group / "memory.events").splitlines())}
    return {
        "own": int(pages) * os.sysconf("SC_PAGE_SIZE"),
        # A group without a limit of its own shares it with processes outside of this server.
        "all": _number(group / "memory.current") if most and most <= min(n for n in limits if n) else 0,
        "limit": min((n for n in limits if n), default=0),
        "kills": events.get("oom_kill", 0),
    }


def _group() -> Path:
    """Return the control group (version 2) of this process."""
    path = _text(Path("/proc/self/cgroup")).strip().rpartition("::")[2].lstrip("/")
    folder = _GROUPS / path
    return folder if (folder / "memory.current").exists() else _GROUPS


def _machine() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@cache
def limit() -> int:
    """Return the bytes that a process may have here: of the machine, by its control group and by its own limit.

    The same as `distributed.system.memory_limit`, whose package takes a third of a second to import.
    """
    own = resource.getrlimit(resource.RLIMIT_RSS)[1]
    return min(n for n in (_machine(), *(_number(_GROUPS / name) for name in _LIMITS), own) if n > 0)


def _number(path: Path) -> int:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else 0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _said(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / _MB:.0f} MiB"
