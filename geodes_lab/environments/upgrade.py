"""What an upgrade of the lab means for a person's own packages: which of them no longer fit."""

from __future__ import annotations

import contextlib
import sysconfig
from pathlib import Path

from packaging.version import InvalidVersion, Version

from geodes_lab.environments.overlay import Overlay, lab, versions

_SEEN = "geodes-lab-seen"  # in the environment's folder: for which packages its person was told
_NAMED = 8  # packages of one kind that are named


def misfits(overlay: Overlay) -> str:
    """Return a sentence that names the packages of an environment which no longer fit; empty if all do.

    They were installed for another Python, and are not seen by this one; or they stand before a newer version of the
    lab's. The packages' metadata are read.
    """
    sentences = []
    own = overlay.own()
    for python in overlay.left_behind():
        folder = overlay.folder.parent / python / "lib" / python / "site-packages"
        if behind := {n: v for n, v in versions([str(folder)]).items() if n not in own}:
            anew = " ".join(f"{n}" for n in list(behind)[:_NAMED])
            sentences.append(
                f"{_listed(behind)} {'was' if len(behind) == 1 else 'were'} installed for {python} and "
                f"{'is' if len(behind) == 1 else 'are'} not seen by this Python: `pip install {anew}`"
            )
    if older := {n: (mine, labs) for n, (mine, labs) in overlay.instead().items() if _is_older(mine, labs)}:
        named = _listed({n: f"{mine} (the lab has {labs})" for n, (mine, labs) in older.items()})
        sentences.append(
            f"{named} {'stands' if len(older) == 1 else 'stand'} before a newer version of the lab's: "
            f"`pip uninstall {' '.join(list(older)[:_NAMED])}` gives you that of the lab"
        )
    if not sentences:
        return ""
    return f"Packages of your own in the environment {overlay.name} no longer fit the lab. {'; '.join(sentences)}."


def news(overlay: Overlay) -> str:
    """Return the sentence of `misfits` once; again only after the lab, or the environment, has changed.

    If nothing has changed, two folders are looked at.
    """
    now = _state(overlay)
    note = overlay.folder / _SEEN
    with contextlib.suppress(OSError):
        if note.read_text() == now:
            return ""
    sentence = misfits(overlay)
    with contextlib.suppress(OSError):  # a full home: it is said again
        note.write_text(now)
    return sentence


def _state(overlay: Overlay) -> str:
    folders = [overlay.packages, *(overlay.folder.parent / python for python in overlay.left_behind())]
    folders += [Path(sysconfig.get_path("purelib", vars=lab()))]
    with contextlib.suppress(OSError):
        return " ".join(f"{folder}:{folder.stat().st_mtime_ns}" for folder in sorted(folders))
    return ""


def _listed(packages: dict[str, str]) -> str:
    named = [f"{name} {version}" for name, version in packages.items()]
    more = len(named) - _NAMED
    return ", ".join(named[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _is_older(mine: str, labs: str) -> bool:
    try:
        return Version(mine) < Version(labs)
    except InvalidVersion:
        return False
