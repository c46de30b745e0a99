"""A person's own packages over those of the lab: a virtual environment that sees the lab's as if they were its own.

What pip installs there goes into the person's folder. What the lab has already counts as installed, and is never
removed or changed, since it lies outside the environment. A version of one's own comes before the lab's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import venv
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from geodes_lab.errors import GeodesError

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
LINK = "_geodes_lab_base.pth"
"""The file of an environment that leads to the lab's packages."""
_PIP = """#!{python}
import sys
from pip._internal.cli.main import main
sys.exit(main())
"""


def home() -> Path:
    """Return the folder of a person's environments."""
    return Path.home() / ".local" / "share" / "geodes-lab" / "environments"


@dataclass(frozen=True)
class Overlay:
    """One environment over that of the lab; made by `Overlay.named`."""

    folder: Path
    """Where its own packages are."""

    @classmethod
    def named(cls, name: str, above: Path | None = None) -> Overlay:
        """Return the environment of a name, which may not be there yet; no I/O.

        Raises
        ------
        GeodesError
            If it is no name.
        """
        if not _NAME.fullmatch(name):
            raise GeodesError(
                f"{name!r} is not a valid name of an environment: use up to 31 small letters, digits and -, "
                "starting with a letter."
            )
        return cls((above or home()) / name / _PYTHON)

    @classmethod
    def present(cls) -> Overlay | None:
        """Return the environment that this process runs in; None in the lab's own."""
        overlay = cls(Path(sys.prefix))
        return overlay if (overlay.packages / LINK).exists() else None

    @property
    def name(self) -> str:
        """Its name."""
        return self.folder.parent.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        """The folder of its own packages."""
        return self.folder / "lib" / _PYTHON / "site-packages"

    @property
    def is_there(self) -> bool:
        """Whether it has been made, for this Python."""
        return self.python.exists() and (self.packages / LINK).exists()

    def make(self) -> Overlay:
        """Make it, or bring it up to the lab's present place; takes a tenth of a second.

        Raises
        ------
        GeodesError
            If its folder cannot be written.
        """
        base = dict.fromkeys(sysconfig.get_path(kind, vars=lab()) for kind in ("purelib", "platlib"))
        link = "".join(f"import site; site.addsitedir({str(folder)!r})\n" for folder in base)
        try:
            if self.is_there and (self.packages / LINK).read_text() == link:
                return self
            venv.EnvBuilder(symlinks=True, with_pip=False).create(self.folder)
            (self.packages / LINK).write_text(link)
            pip = self.folder / "bin" / "pip"
            pip.write_text(_PIP.format(python=self.python))
            pip.chmod(0o755)
        except OSError as error:
            raise GeodesError(
                f"The environment {self.name} cannot be written at {self.folder} ({error.strerror}): free some "
                "disk space."
            ) from error
        return self

    def install(
        self, requirements: Sequence[str], timeout: float = 1800, say: Callable[[str], None] | None = None
    ) -> str:
        """Install packages by pip.

        Parameters
        ----------
        requirements
            Arguments of ``pip install``: names with versions, or ``-r`` and a file.
        timeout
            Seconds after which it is given up.
        say
            Called with each line that pip prints.

        Returns
        -------
        str
            What pip has installed, or what it printed last.

        Raises
        ------
        GeodesError
            If pip fails; with its last line.
        """
        options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
        command = [str(self.make().python), "-m", "pip", "install", *options, *requirements]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", bufsize=1
        )
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            process.kill()

        timer = threading.Timer(timeout, end)
        timer.start()
        lines: deque[str] = deque(maxlen=1000)
        try:
            for line in process.stdout or ():
                if text := line.strip():
                    lines.append(text)
                    if say is not None:
                        say(text)
            code = process.wait()
        finally:
            timer.cancel()
            process.kill()
        if is_late.is_set():
            raise GeodesError(f"pip took more than {timeout:.0f} s: the environment {self.name} may lack packages.")
        if code:
            errors = [line for line in lines if line.startswith("ERROR")] or list(lines)
            raise GeodesError(
                f"pip installs nothing into {self.name}: {' '.join(errors[:2])[:600] or 'it says nothing'}"
            )
        installed = [line for line in lines if line.startswith("Successfully installed")]
        return (installed or list(lines) or [""])[-1]

    def own(self) -> dict[str, str]:
        """Versions of its own packages, by their names; the packages' metadata are read."""
        return versions([str(self.packages)])

    def instead(self) -> dict[str, tuple[str, str]]:
        """Packages that stand before another version of the lab's: the own version, and the lab's."""
        base = [str(sysconfig.get_path(kind, vars=lab())) for kind in ("purelib", "platlib")]
        labs = versions(base)
        return {n: (v, labs[n]) for n, v in self.own().items() if n in labs and labs[n] != v}

    def left_behind(self) -> list[str]:
        """Other versions of Python for which there is an environment of this name: what they have is not seen here."""
        others = (p.name for p in self.folder.parent.glob("python3.*") if p.name != _PYTHON)
        return sorted(others)

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the environment variables of a process in it: its commands first, and the lab's data of Jupyter."""
        path, data = given.get("PATH", ""), given.get("JUPYTER_PATH", "")
        share = str(Path(lab()["base"]) / "share" / "jupyter")
        return {
            **given,
            "PATH": f"{self.folder / 'bin'}:{path}" if path else str(self.folder / "bin"),
            "JUPYTER_PATH": data if share in data.split(":") else ":".join(filter(None, [data, share])),
            "VIRTUAL_ENV": str(self.folder),
            "GEODES_LAB_BASE": lab()["base"],
        }

    def remove(self) -> None:
        """Remove it with all its packages, for every version of Python."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)


def environments(above: Path | None = None) -> list[Overlay]:
    """Return a person's environments that are there for this Python."""
    folder = above or home()
    names = sorted(p.name for p in folder.iterdir() if _NAME.fullmatch(p.name)) if folder.is_dir() else []
    return [one for one in (Overlay.named(n, above) for n in names) if one.is_there]


def lab() -> dict[str, str]:
    """The prefix of the lab's own environment, from within an environment over it too."""
    within = Overlay.present()
    prefix = sys.prefix
    if within is not None:  # the folder above lib/python3.11/site-packages
        named = re.search(r"addsitedir\('(.*)'\)", (within.packages / LINK).read_text())
        prefix = str(Path(named[1]).parents[2]) if named else os.environ.get("GEODES_LAB_BASE", sys.prefix)
    return {"base": prefix, "platbase": prefix}


def versions(folders: list[str]) -> dict[str, str]:
    """Versions of the packages in some folders, by their names; the packages' metadata are read."""
    by_name = {}
    for one in distributions(path=folders):
        name = one.metadata["Name"]
        if name:
            by_name[re.sub(r"[-_.]+", "-", name).lower()] = one.version
    return by_name
