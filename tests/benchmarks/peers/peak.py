"""The memory that a process has had at most; without any package, for the environments of peers too."""

from __future__ import annotations

from pathlib import Path


def peak() -> float:
    """Return MiB. The system's own count of a process (getrusage) would begin with the memory of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
