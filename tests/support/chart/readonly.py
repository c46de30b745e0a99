"""A command whose every file system is read-only but for some folders, as the chart's containers are: in a mount namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

# What is to be written is mounted upon itself first; then everything else loses its right to be written.
_CLOSE = """
set -e
for folder in $WRITABLE; do mount --bind "$folder" "$folder"; done
while read -r _ place _; do
  case "$place" in /proc|/proc/*|/sys|/sys/*|/dev|/dev/*) continue ;; esac
  case " $WRITABLE " in *" $place "*) continue ;; esac
  mount -o remount,bind,ro "$place" 2>/dev/null || [ "$place" != / ]
done </proc/self/mounts
exec "$@"
"""


def closed(command: list[str], writable: list[Path]) -> list[str]:
    """The command, within; unchanged where this machine gives no namespace."""
    if not possible():
        return command
    folders = " ".join(map(str, writable))
    return [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "env",
        f"WRITABLE={folders}",
        "sh",
        "-c",
        _CLOSE,
        "sh",
        *command,
    ]


@cache
def possible() -> bool:
    """Whether there are such namespaces here: root, and a kernel that lets it."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    command = ["unshare", "--mount", "--propagation", "private", "env", "WRITABLE=", "sh", "-c", _CLOSE, "sh"]
    return subprocess.run([*command, "true"], capture_output=True).returncode == 0
