"""The result of a check, which ends in time whatever it meets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["holds", "warning", "failed", "not tried"]


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    fact: str
    """What was checked."""
    state: State
    """``holds``: as it should be.

    ``warning``: it works, and soon may not; ``failed``: mend it; ``not tried``: something is missing for the check.
    """
    text: str
    """Sentences for the operator: what is so, and what to do where it should not be."""


def bounded(fact: str, check: Callable[[], Iterable[Finding]], seconds: float) -> list[Finding]:
    """Run a check in a thread of its own, and give up after so many seconds.

    Names are looked up by functions that take no time limit: what hangs is left behind, and ends with the process.
    """
    results: list[Finding] = []

    def run() -> None:
        try:
            results.extend(check())
        except Exception as error:  # a check that breaks must not hide the others
            results.append(Finding(fact, "failed", f"The check broke ({type(error).__name__}: {error}): report it."))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        text = f"No answer within {seconds:g} s: check the network of the pod (values `network`), then try again."
        return [*results, Finding(fact, "failed", text)]
    return results
