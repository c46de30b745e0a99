"""Whether the cluster has storage for the claims of the lab, and has given it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from geodes_lab.errors import GeodesError
from geodes_lab.surroundings.finding import Finding
from geodes_lab.surroundings.kubernetes import Kubernetes

_CLASSES, _CLAIMS = "storage class", "claims"
_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_MOST = 5  # claims that are named


def classes(kubernetes: Kubernetes) -> Iterator[Finding]:
    """Check that there is a storage class by default, and that the claims name classes that there are."""
    try:
        there = kubernetes.items("/apis/storage.k8s.io/v1/storageclasses")
        claims = kubernetes.items("/api/v1/namespaces/{namespace}/persistentvolumeclaims")
    except GeodesError as error:
        yield Finding(_CLASSES, "not tried", f"{error}: `kubectl get storageclass` shows them to an admin.")
        return
    names = [c["metadata"]["name"] for c in there]
    default = [c["metadata"]["name"] for c in there if (c["metadata"].get("annotations") or {}).get(_DEFAULT) == "true"]
    wanted = {c["spec"].get("storageClassName") for c in claims if _phase(c) != "Bound"} - {None, ""}
    for name in sorted(wanted - {*names}):
        text = f"Claims name the class {name}, which the cluster does not have: it has {', '.join(names) or 'none'}."
        yield Finding(_CLASSES, "failed", f"{text} Correct `volumes` and jupyterhub.singleuser.storage of the values.")
    if len(default) == 1:
        yield Finding(_CLASSES, "holds", f"{default[0]} is the default; there are {', '.join(names)}.")
    elif default:
        text = f"{', '.join(default)} are all the default, and the newest is taken: leave one."
        yield Finding(_CLASSES, "warning", text)
    else:
        yield Finding(
            _CLASSES, "warning",
            f"None of {', '.join(names) or 'no classes'} is the default: claims without a class stay Pending. Name one "
            "in volumes.class, volumes.*.class and jupyterhub.singleuser.storage.dynamic.storageClass, or mark a class "
            f"(`kubectl annotate storageclass NAME {_DEFAULT}=true`).",
        )  # fmt: skip


def claims(kubernetes: Kubernetes) -> Iterator[Finding]:
    """Check that each claim of the namespace has its volume; those of people without a server too."""
    try:
        there = kubernetes.items("/api/v1/namespaces/{namespace}/persistentvolumeclaims")
    except GeodesError as error:
        yield Finding(_CLAIMS, "not tried", f"{error}: `kubectl get pvc` shows them.")
        return
    without = [c for c in there if _phase(c) != "Bound"]
    for claim in without[:_MOST]:
        name = claim["metadata"]["name"]
        if _phase(claim) == "Lost":
            text = f"The volume of {name} is gone: restore it from a backup, or remove the claim."
            yield Finding(_CLAIMS, "failed", text)
            continue
        reason, message = _event(kubernetes, name)
        if reason == "WaitForFirstConsumer":
            yield Finding(_CLAIMS, "holds", f"{name} gets its volume when its first pod starts.")
            continue
        modes = ", ".join(claim["spec"].get("accessModes") or [])
        yield Finding(
            _CLAIMS, "failed",
            f"{name} ({modes}) is {_phase(claim) or 'new'}, so pods that mount it do not start"
            f"{f' ({reason}: {message})' if reason else ''}: give it a class that offers {modes or 'its access'}.",
        )  # fmt: skip
    if len(without) > _MOST:
        yield Finding(_CLAIMS, "failed", f"{len(without) - _MOST} more claims have no volume: `kubectl get pvc`.")
    if not without:
        yield Finding(_CLAIMS, "holds", f"All {len(there)} claims have their volumes.")


def _phase(claim: dict[str, Any]) -> str:
    return str((claim.get("status") or {}).get("phase") or "")


def _event(kubernetes: Kubernetes, claim: str) -> tuple[str, str]:
    """Return reason and message of what the cluster said last of a claim; nothing, if it said nothing."""
    selector = f"involvedObject.name={claim},involvedObject.kind=PersistentVolumeClaim"
    try:
        events = kubernetes.items("/api/v1/namespaces/{namespace}/events", fieldSelector=selector)
    except GeodesError:
        return "", ""
    if not events:
        return "", ""
    last = max(events, key=lambda e: str(e.get("lastTimestamp") or e["metadata"].get("creationTimestamp") or ""))
    return str(last.get("reason") or ""), " ".join(str(last.get("message") or "").split())[:300]
