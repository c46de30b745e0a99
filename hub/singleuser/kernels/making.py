"""An environment that is being made for the person: what pip says, line by line, and how it ended."""

from __future__ import annotations

import re
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from geodes_lab.environments import group_place, kernel
from geodes_lab.environments.overlay import Overlay
from geodes_lab.environments.requirements import requirements
from geodes_lab.errors import GeodesError, shown

_LINES = 400  # that are kept of what pip says
_CHARACTERS = 500  # of a line
_TEXT = 64 * 2**10  # characters of a list that is pasted
_CONDA = re.compile(r"^(dependencies|channels|name)\s*:", re.MULTILINE)
State = Literal["none", "running", "done", "failed"]


@dataclass(frozen=True)
class Wish:
    """What the person asks for."""

    name: str
    group: str = ""
    file: str = ""
    """A requirements.txt or environment.yml, below the home."""
    text: str = ""
    """Or what such a file would say."""

    def overlay(self) -> Overlay:
        """Return the environment, which is not there yet.

        Raises
        ------
        GeodesError
            If it is no name, or is there already.
        """
        overlay = group_place.named(self.name, self.group) if self.group else Overlay.named(self.name)
        if overlay.is_there:
            raise GeodesError(
                f"There is an environment {self.name} already: choose another name, or remove it in a terminal with "
                f"`geodes-lab env remove {self.name}{f' --group {self.group}' if self.group else ''}`."
            )
        return overlay

    def listed(self, home: Path) -> Path | None:
        """Return the file of the home, if one was chosen.

        Raises
        ------
        GeodesError
            If there is no such file in the home, or there is a text too.
        """
        if len(self.text) > _TEXT:
            raise GeodesError(f"The list has more than {_TEXT:,} characters: put it into a file of your home.")
        if not self.file.strip():
            return None
        if self.text.strip():
            raise GeodesError("Name a file or paste a list, not both.")
        path = (home / self.file.strip()).resolve()
        if not path.is_relative_to(home.resolve()) or not path.is_file():
            raise GeodesError(f"There is no file {self.file.strip()[:200]} in your home.")
        if path.suffix not in (".txt", ".yml", ".yaml"):
            raise GeodesError(f"{path.name} is no requirements.txt and no environment.yml.")
        return path


@dataclass
class Making:
    """The last environment that was made, or is being made: one at a time."""

    name: str = ""
    state: State = "none"
    sentence: str = ""
    """Why it failed."""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))

    def begin(self, wish: Wish, home: Path, lab_kernel: Path, ended: Callable[[], Any]) -> None:
        """Begin in a thread of its own.

        Parameters
        ----------
        wish
            What is made.
        home
            Of the person.
        lab_kernel
            The folder of the lab's kernel.
        ended
            Called in that thread at the end.

        Raises
        ------
        GeodesError
            If it cannot be begun.
        """
        if self.state == "running":
            raise GeodesError(f"The environment {self.name} is being made: wait until it is done.")
        overlay, file = wish.overlay(), wish.listed(home)
        is_new = not overlay.folder.parent.exists()  # else it has packages for another Python, which stay
        self.name, self.state, self.sentence = wish.name, "running", ""
        self.lines.clear()

        def work() -> None:
            try:
                self._make(overlay, wish, file, lab_kernel)
                self.state = "done"
            except GeodesError as error:
                self.state, self.sentence = "failed", shown(str(error))
            except Exception as error:  # whatever it is, the page has to say it
                self.state, self.sentence = "failed", f"It cannot be made ({type(error).__name__})."
            if self.state == "failed" and is_new:
                overlay.remove()  # so that the name can be tried again
            ended()

        threading.Thread(target=work, name="environment-made", daemon=True).start()

    def _make(self, overlay: Overlay, wish: Wish, file: Path | None, lab_kernel: Path) -> None:
        overlay.make()
        if file is not None:
            overlay.install(requirements(file), say=self._say)
        elif wish.text.strip():
            with tempfile.TemporaryDirectory(prefix="geodes-lab-") as folder:  # for this account alone
                pasted = Path(folder) / ("environment.yml" if _CONDA.search(wish.text) else "requirements.txt")
                pasted.write_text(wish.text.replace("\r\n", "\n"))
                overlay.install(requirements(pasted), say=self._say)
        if not wish.group:
            kernel.write(overlay, lab_kernel)

    def _say(self, line: str) -> None:
        self.lines.append(shown(line)[:_CHARACTERS])
