"""The packages that a file names, for pip."""

from __future__ import annotations

from pathlib import Path

from geodes_lab.errors import GeodesError


def requirements(path: Path) -> list[str]:
    """Return the arguments of pip for a file; of a file for conda, the packages that it leaves to pip.

    Parameters
    ----------
    path
        A requirements.txt or an environment.yml.

    Raises
    ------
    GeodesError
        If it is no such file, or names packages of conda.
    """
    if path.suffix not in (".yml", ".yaml"):
        return ["-r", str(path)]
    import yaml

    try:
        listed = yaml.safe_load(path.read_text()).get("dependencies", [])
        plain = [str(entry) for entry in listed if isinstance(entry, str)]
        pip = [str(p) for entry in listed if isinstance(entry, dict) for p in entry.get("pip", [])]
    except (yaml.YAMLError, AttributeError, TypeError, OSError) as error:
        raise GeodesError(f"{path} is no environment.yml ({' '.join(str(error).split())[:200]}).") from None
    if conda := [entry for entry in plain if entry.partition("=")[0].split(">")[0].strip() not in ("python", "pip")]:
        raise GeodesError(
            f"{path} names packages of conda ({', '.join(conda[:5])}), which the lab does not install: list them under "
            "`pip:`, or write a requirements.txt."
        )
    return pip
