"""The Pod Security standard "restricted" of Kubernetes, and what an auditor wants of pods beyond it, as a list of sentences about a pod."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_HOST = ("hostNetwork", "hostPID", "hostIPC")


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """All of them: what runs first, and what a person attaches, is not less dangerous."""
    return [c for kind in ("containers", "initContainers", "ephemeralContainers") for c in spec.get(kind) or []]


def violations(spec: dict[str, Any]) -> Iterator[str]:
    """Where a pod is not "restricted" (https://kubernetes.io/docs/concepts/security/pod-security-standards/)."""
    pod = spec.get("securityContext") or {}
    yield from (f"{name}: true" for name in _HOST if spec.get(name))
    for volume in spec.get("volumes") or []:
        yield from (f"volume {volume['name']}: {kind}" for kind in volume if kind not in _VOLUMES | {"name"})
    if pod.get("sysctls"):
        yield "sysctls"
    for c in containers(spec):
        own, name = c.get("securityContext") or {}, c["name"]
        if own.get("privileged"):
            yield f"{name}: privileged"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: allowPrivilegeEscalation"
        powers = own.get("capabilities") or {}
        if "ALL" not in (powers.get("drop") or []) or set(powers.get("add") or []) - {"NET_BIND_SERVICE"}:
            yield f"{name}: capabilities"
        if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
            yield f"{name}: runAsNonRoot"
        if own.get("runAsUser", pod.get("runAsUser")) == 0:
            yield f"{name}: runAsUser 0"
        profile = (own.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type")
        if profile not in ("RuntimeDefault", "Localhost"):
            yield f"{name}: seccompProfile"
        if own.get("procMount", "Default") != "Default":
            yield f"{name}: procMount"
        yield from (f"{name}: hostPort" for p in c.get("ports") or [] if p.get("hostPort"))


def beyond(spec: dict[str, Any]) -> Iterator[str]:
    """What the standard does not ask and an auditor does: no account of the cluster, limits, pinned images."""
    if spec.get("automountServiceAccountToken") is not False:
        yield "a token of the cluster"
    for c in containers(spec):
        told = c.get("resources") or {}
        for kind, name in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            if name not in (told.get(kind) or {}):
                yield f"{c['name']}: no {kind}.{name}"
        if (c.get("securityContext") or {}).get("readOnlyRootFilesystem") is not True:
            yield f"{c['name']}: writes into its image"
        if not re.search(r":[\w][\w.-]*\d[\w.-]*(@sha256:[0-9a-f]{64})?$", c["image"]) or c["image"].endswith(
            ":latest"
        ):
            yield f"{c['name']}: image {c['image']}"
