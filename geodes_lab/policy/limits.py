"""Whether somebody may start something more, by what the month has seen and the quota of their groups."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields

from geodes_lab.policy.groups import Quota
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.people import rights
from geodes_lab.policy.units import Bytes

_WORDS = {
    "core_hours": "core-hours",
    "memory_hours": "GiB-hours of memory",
    "read": "read from the datalake",
    "storage": "stored",
}
# A full home is no reason against a server: one is needed to make room. See hub/singleuser/home/space.py.
REASONS = ("core_hours", "memory_hours", "read")
"""The quotas that keep somebody from starting something more."""


@dataclass(frozen=True)
class Verdict:
    """Whether something may be started."""

    allowed: bool
    reason: str
    """A sentence; empty if it may."""
    parts: dict[str, float]
    """How much of each limit is used: 1 is all of it."""


def verdict(use: Mapping[str, float | None], groups: Collection[str], lab: Lab) -> Verdict:
    """Hold what was used against the quota.

    Parameters
    ----------
    use
        What a person has used this month, by the names of `Quota`; None: it is not known, and no part of the verdict.
    groups
        The person's groups.
    lab
        The operator's file.
    """
    quota: Quota = rights(groups, lab).quota
    used = {name: use.get(name, 0) for name in (f.name for f in fields(Quota))}
    parts = {
        name: amount / limit for name, amount in used.items() if amount is not None and (limit := getattr(quota, name))
    }
    for name in REASONS:
        if parts.get(name, 0) >= 1:
            use_of, limit = used[name] or 0, getattr(quota, name)
            amount = f"{Bytes(int(use_of))} of {limit}" if name == "read" else f"{use_of:.0f} of {limit:.0f}"
            return Verdict(
                False,
                f"Your quota of this month is used up: {amount} {_WORDS[name]}. A new quota starts on the first of "
                "next month.",
                parts,
            )
    return Verdict(True, "", parts)
