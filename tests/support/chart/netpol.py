"""A small evaluator of Kubernetes' NetworkPolicies: may this pod, or address, open a connection to that one on a port?

Policies add up: a pod that none selects may do everything, one that some select may do what at least one of them allows; a connection needs
both ends. One thing the standard leaves open: whether an `ipBlock` means pods too. Calico says yes, Cilium no; a lab must be right under
both, so `may` wants both to agree and says which does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any


@dataclass(frozen=True)
class End:
    """A pod, by its labels, or an address outside if it has none."""

    name: str
    address: str
    labels: dict[str, str] = field(default_factory=dict)
    namespace: str = "lab"
    ports: dict[str, int] = field(default_factory=dict)
    """Named ports of its containers."""

    @property
    def is_pod(self) -> bool:
        """Whether it is within the cluster."""
        return bool(self.labels)


class Split(AssertionError):
    """Networks answer differently."""


@dataclass(frozen=True)
class Network:
    """A cluster.

    Parameters
    ----------
    policies
        The NetworkPolicy objects; those without a namespace are of `namespace`.
    namespace
        Theirs.
    """

    policies: tuple[dict[str, Any], ...]
    namespace: str = "lab"

    def may(self, source: End, target: End, port: int, protocol: str = "TCP") -> bool:
        """Whether a connection opens, whatever the network makes of `ipBlock` and pods.

        Raises
        ------
        Split
            If it depends on that.
        """
        calico, cilium = (self.opens(source, target, port, protocol, blocks_mean_pods=b) for b in (True, False))
        if calico != cilium:
            raise Split(f"{source.name} to {target.name}:{port}: {calico} where ipBlock means pods too, else {cilium}")
        return calico

    def opens(self, source: End, target: End, port: int, protocol: str = "TCP", *, blocks_mean_pods: bool) -> bool:
        """The same for one kind of network."""
        out = self._allows(source, target, "egress", target, port, protocol, blocks_mean_pods)
        return out and self._allows(target, source, "ingress", target, port, protocol, blocks_mean_pods)

    def _allows(self, held: End, other: End, way: str, target: End, port: int, protocol: str, blocks: bool) -> bool:
        if not held.is_pod:
            return True  # what is outside is kept by others
        selecting = [
            p["spec"] for p in self.policies if self._selects(p, held) and way.capitalize() in _types(p["spec"])
        ]
        if not selecting:
            return True
        side = "to" if way == "egress" else "from"
        return any(
            self._port(rule.get("ports"), target, port, protocol) and self._peer(rule.get(side), other, blocks)
            for spec in selecting
            for rule in spec.get(way) or []
        )

    def _selects(self, policy: dict[str, Any], end: End) -> bool:
        where = policy["metadata"].get("namespace", self.namespace)
        return where == end.namespace and matches(policy["spec"].get("podSelector") or {}, end.labels)

    def _peer(self, peers: list[dict[str, Any]] | None, other: End, blocks: bool) -> bool:
        if not peers:
            return True  # no list means everybody
        for peer in peers:
            if block := peer.get("ipBlock"):
                at = ip_address(other.address)
                inside = at in ip_network(block["cidr"]) and not any(
                    at in ip_network(e) for e in block.get("except") or []
                )
                if inside and (blocks or not other.is_pod):
                    return True
            elif other.is_pod:
                space = peer.get("namespaceSelector")
                same = (
                    other.namespace == self.namespace
                    if space is None
                    else matches(space, {"kubernetes.io/metadata.name": other.namespace})
                )
                if same and matches(peer.get("podSelector") or {}, other.labels):
                    return True
        return False

    def _port(self, ports: list[dict[str, Any]] | None, target: End, port: int, protocol: str) -> bool:
        if not ports:
            return True
        for told in ports:
            wanted = told.get("port")
            number = target.ports.get(wanted, -1) if isinstance(wanted, str) else wanted
            if told.get("protocol", "TCP") == protocol and (
                number is None or number <= port <= told.get("endPort", number)
            ):
                return True
        return False


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector selects; an empty one selects all."""
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    for told in selector.get("matchExpressions") or []:
        value = labels.get(told["key"])
        right = {
            "In": value in (told.get("values") or []),
            "NotIn": value not in (told.get("values") or []),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[told["operator"]]
        if not right:
            return False
    return True


def _types(spec: dict[str, Any]) -> list[str]:
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
