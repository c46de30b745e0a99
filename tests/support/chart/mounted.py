"""A command that sees the volumes of a pod where the pod has them, mounted as the kubelet does it, in a mount namespace of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

_TOP = "/srv"  # hidden behind a file system of the namespace's own


def within(pod: dict[str, Any], claims: dict[str, Path], command: list[str], **environment: str) -> str:
    """Run a command as a pod that has such mounts below ``/srv``; give what it prints, its errors too.

    A folder of a volume (`subPath`) that is not there is made with the rights of the volume's root, by root, before
    anything is mounted. What is for reading only is so for root too.

    Parameters
    ----------
    pod
        With the mounts of its one container.
    claims
        The folders that are the volumes.
    command, environment
        What runs in it, with the environment of the container and this more.
    """
    (container,) = pod["spec"]["containers"]
    sources = {v["name"]: (v.get("persistentVolumeClaim") or {}).get("claimName") for v in pod["spec"]["volumes"]}
    steps = ["set -e", f"mount -t tmpfs tmpfs {_TOP}"]
    mounts = [m for m in container["volumeMounts"] if m["mountPath"].startswith(f"{_TOP}/")]
    for mount in sorted(mounts, key=lambda m: m["mountPath"].count("/")):  # as containerd and CRI-O sort them
        volume = claims[sources[mount["name"]]]
        source = _prepared(volume, mount.get("subPath") or "")
        path = shlex.quote(mount["mountPath"])
        steps += [f"[ -d {path} ] || mkdir -p {path}", f"mount --bind {shlex.quote(str(source))} {path}"]
        if mount.get("readOnly"):
            steps.append(f"mount -o remount,bind,ro {path}")
    env = {e["name"]: e["value"] for e in container["env"] if "value" in e}
    # The paths of the image mean nothing here.
    env = {k: v for k, v in env.items() if "/opt/geodes-lab" not in v and "/var/cache" not in v and v != "/scratch"}
    script = "\n".join([*steps, 'exec "$@"'])
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *command],
        env={"PATH": os.environ["PATH"], **env, **environment}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return (done.stdout if done.returncode == 0 else done.stderr).strip()


def _prepared(volume: Path, below: str) -> Path:
    folder = volume
    for part in filter(None, below.split("/")):
        folder = folder / part
        if not folder.exists():
            folder.mkdir()
            os.chown(folder, -1, volume.stat().st_gid)
            folder.chmod(volume.stat().st_mode & 0o7777)
    return folder
