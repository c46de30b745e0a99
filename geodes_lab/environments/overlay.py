"""A person's own packages over those of the lab: a virtual environment that sees the lab's as if they were its own.

What pip installs there goes into the person's folder. What the lab has already counts as installed, and is never
removed or changed, since it lies outside the environment. A version of one's own comes before the lab's.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from geodes_lab.errors import GeodesError

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_LINK = "_geodes_lab_base.pth"
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
        return self.python.exists() and (self.packages / _LINK).exists()

    def make(self) -> Overlay:
        """Make it, or bring it up to the lab's present place; takes a tenth of a second.

        Raises
        ------
        GeodesError
            If its folder cannot be written.
        """
        base = dict.fromkeys(sysconfig.get_path(kind, vars=_lab()) for kind in ("purelib", "platlib"))
        link = "".join(f"import site; site.addsitedir({str(folder)!r})\n" for folder in base)
        try:
            if self.is_there and (self.packages / _LINK).read_text() == link:
                return self
            venv.EnvBuilder(symlinks=True, with_pip=False).create(self.folder)
            (self.packages / _LINK).write_text(link)
            pip = self.folder / "bin" / "pip"
            pip.write_text(_PIP.format(python=self.python))
            pip.chmod(0o755)
        except OSError as error:
            raise GeodesError(
                f"The environment {self.name} cannot be written at {self.folder} ({error.strerror}): free some "
                "disk space."
            ) from error
        return self

    def install(self, requirements: Sequence[str], timeout: float = 1800) -> str:
        """Install packages by pip, with its own output on the terminal.

        Parameters
        ----------
        requirements
            Arguments of ``pip install``: names with versions, or ``-r`` and a file.
        timeout
            Seconds after which it is given up.

        Returns
        -------
        str
            What pip printed last.

        Raises
        ------
        GeodesError
            If pip fails; with its last line.
        """
        command = [str(self.make().python), "-m", "pip", "install", "--disable-pip-version-check", *requirements]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise GeodesError(
                f"pip took more than {timeout:.0f} s: the environment {self.name} may lack packages."
            ) from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
            raise GeodesError(
                f"pip installs nothing into {self.name}: {' '.join(lines[:2])[:600] or 'it says nothing'}"
            )
        return (done.stdout.strip().splitlines() or [""])[-1]

    def own(self) -> dict[str, str]:
        """Versions of its own packages, by their names; the packages' metadata are read."""
        return _versions([str(self.packages)])

    def instead(self) -> dict[str, tuple[str, str]]:
        """Packages that stand before another version of the lab's: the own version, and the lab's."""
        base = [str(sysconfig.get_path(kind, vars=_lab())) for kind in ("purelib", "platlib")]
        lab = _versions(base)
        return {n: (v, lab[n]) for n, v in self.own().items() if n in lab and lab[n] != v}

    def left_behind(self) -> list[str]:
        """Other versions of Python for which there is an environment of this name: what they have is not seen here."""
        others = (p.name for p in self.folder.parent.glob("python3.*") if p.name != _PYTHON)
        return sorted(others)

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the environment variables of a process in it: its commands first, and the lab's data of Jupyter."""
        path, data = given.get("PATH", ""), given.get("JUPYTER_PATH", "")
        share = str(Path(_lab()["base"]) / "share" / "jupyter")
        return {
            **given,
            "PATH": f"{self.folder / 'bin'}:{path}" if path else str(self.folder / "bin"),
            "JUPYTER_PATH": data if share in data.split(":") else ":".join(filter(None, [data, share])),
            "VIRTUAL_ENV": str(self.folder),
            "GEODES_LAB_BASE": _lab()["base"],
        }

    def remove(self) -> None:
        """Remove it with all its packages, for every version of Python."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)


def environments(above: Path | None = None) -> list[Overlay]:
    """Return a person's environments that are there for this Python."""
    folder = above or home()
    names = sorted(p.name for p in folder.iterdir() if _NAME.fullmatch(p.name)) if folder.is_dir() else []
    return [one for one in (Overlay.named(n, above) for n in names) if one.is_there]


def _lab() -> dict[str, str]:
    """The prefix of the lab's own environment, from within an environment over it too."""
    import os

    prefix = os.environ.get("GEODES_LAB_BASE") if Path(sys.prefix).is_relative_to(home()) else None
    return {"base": prefix or sys.prefix, "platbase": prefix or sys.prefix}


def _versions(folders: list[str]) -> dict[str, str]:
    found = {}
    for one in distributions(path=folders):
        name = one.metadata["Name"]
        if name:
            found[re.sub(r"[-_.]+", "-", name).lower()] = one.version
    return found
