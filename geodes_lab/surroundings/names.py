"""Whether names lead somewhere: those of the lab's own Services, and those outside that the lab needs."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

from geodes_lab.surroundings.finding import Finding, bounded

FACT = "DNS"
_ANY = "somebody"  # a name that a wildcard has


def resolved(
    inside: Sequence[str], outside: Sequence[str], above: Sequence[str] = (), seconds: float = 5
) -> Iterator[Finding]:
    """Look each name up.

    Parameters
    ----------
    inside
        Names of Services of the namespace.
    outside
        Names that the operator's file has.
    above
        Those of them below which every name must lead somewhere too.
    seconds
        For each name.
    """
    probes = {f"{_ANY}.{name}": name for name in above}
    names = list(dict.fromkeys([*inside, *outside, *probes]))
    faults = {name: reason for name in names if (reason := _fault(name, seconds))}
    if not faults:
        yield Finding(FACT, "holds", f"All names are found: {', '.join(n for n in names if n not in probes)}.")
        return
    if len(faults) == len(names):
        yield Finding(
            FACT, "failed",
            f"No name is found ({'; '.join(dict.fromkeys(faults.values()))}). Compare `kubectl -n kube-system get pods "
            "--show-labels` with the value network.dns: the policies let pods ask only the DNS that it names (labels, "
            "and addresses for a cache on the nodes).",
        )  # fmt: skip
        return
    for name, reason in faults.items():
        if name in inside:
            text = f"The Service {name} is not found ({reason}): check `kubectl get service {name}` in this namespace."
        elif name in probes:
            text = f"Names below {probes[name]} are not found ({reason}): add *.{probes[name]} to the DNS."
        else:
            text = f"{name} is not found ({reason}): correct it in `lab` of the values, or add it to the DNS."
        yield Finding(FACT, "failed", text)


def _fault(name: str, seconds: float) -> str:
    """Why a name leads nowhere; empty if it leads somewhere."""

    def look() -> list[Finding]:
        try:
            socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            return [Finding(FACT, "failed", getattr(error, "strerror", None) or str(error))]
        return []

    findings = bounded(FACT, look, seconds)
    return findings[0].text.rstrip(".") if findings else ""
