"""What the doctor says of a person: which rule accepts or refuses, why, and what the person would get."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from geodes_lab.policy import collaboration, token
from geodes_lab.policy.lab import Lab, load
from geodes_lab.policy.people import Decision, decide, rights


def verdict(given: str, file: str) -> tuple[bool, list[str]]:
    """Say whether a person would enter, and why.

    Parameters
    ----------
    given
        A token, a file of one, a file of claims; ``-``: one of these from the standard input, where `ps` does not show
        it.
    file
        The operator's file.

    Returns
    -------
    tuple of bool and list of str
        Whether the person enters, and sentences.

    Raises
    ------
    GeodesError
        If one of the two cannot be read.
    """
    lab = load(file)
    claims, notes = token.claims(sys.stdin.read() if given == "-" else given)
    decision = decide(claims, lab)
    return decision.accepted, [*decision.seen, *notes, *_outcome(decision, lab)]


def _outcome(decision: Decision, lab: Lab) -> Iterator[str]:
    if not decision.accepted:
        yield f"Refused by {decision.rule}. The person reads: “{decision.sentence(lab.contact)}”"
        return
    may = rights(decision.groups, lab)
    yield f"Accepted by {decision.rule}{', as admin' if may.admin else ''}."
    yield f"Servers: {', '.join(may.profiles) or 'none of the profiles, so no server can start'}."
    yield f"Dask: {may.dask.clusters} at once, {may.dask.cores} cores, {may.dask.memory}."
    limits = [f"{k} {v}" for k, v in vars(may.quota).items() if v is not None]
    yield f"Quota of a month: {', '.join(limits) or 'none'}."
    if together := collaboration.servers(decision.groups, lab):
        yield f"Common servers: {', '.join(together)}."
    if lab.restricted:
        yield f"Restricted collections: {', '.join(sorted(may.restricted)) or 'none of them'}."
