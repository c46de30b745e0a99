"""Whether the clock of this node agrees with those of servers that the lab talks to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime

from geodes_lab.surroundings.finding import Finding

FACT = "clocks"
_WRONG, _MUCH = 30.0, 240.0  # seconds: tokens are refused after some minutes, signatures of S3 after 15


def agreed(dates: Mapping[str, Callable[[], str]]) -> Iterator[Finding]:
    """Compare the ``Date`` of answers with the time here, halfway between question and answer.

    Parameters
    ----------
    dates
        By the name of each server, what asks it and gives that header; empty if it gives none.
    """
    for server, ask in dates.items():
        began = time.time()
        try:
            told = ask()
        except Exception as error:  # whoever asks has a line of its own
            yield Finding(FACT, "not tried", f"{server} gave no answer ({type(error).__name__}): see its own line.")
            continue
        here = (began + time.time()) / 2
        try:
            difference = here - parsedate_to_datetime(told).timestamp()
        except (TypeError, ValueError):
            yield Finding(FACT, "not tried", f"{server} does not say its time.")
            continue
        if abs(difference) <= _WRONG:
            yield Finding(FACT, "holds", f"This node and {server} agree within {_WRONG:.0f} s.")
            continue
        way = "ahead of" if difference > 0 else "behind"
        yield Finding(
            FACT, "failed" if abs(difference) > _MUCH else "warning",
            f"The clock of this node is {abs(difference):.0f} s {way} that of {server}: tokens and signatures are "
            "refused. Start a time service (chrony, systemd-timesyncd) on the nodes, or tell the operator of that "
            "server.",
        )  # fmt: skip
