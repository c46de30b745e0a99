"""What Kubernetes refuses of a new object: a value of a wrong type, a name that is none, volumes and mounts that do not go together, a pod that is not "restricted"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate

from tests.support.chart.kubernetes.store import Object, Refusal, Store
from tests.support.chart.quantities import quantity
from tests.support.chart.restricted import violations

_VALIDATED = ("pods", "persistentvolumeclaims", "secrets", "services", "configmaps")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)")
_VARIABLE = re.compile(r"[ -<>-~]+")


def stranger(resource: str, obj: Object) -> str:
    """A field that Kubernetes does not know: it leaves it out, and only warns of it."""
    if resource in _VALIDATED:
        try:
            kubernetes_validate.validate(obj, "1.37", strict=True)
        except kubernetes_validate.ValidationError as error:
            return f"{resource}: {'.'.join(map(str, error.path))}: {error.message}"
    return ""


def admit(resource: str, obj: Object, store: Store, namespace: str, level: str) -> None:
    """Hold a new object against the rules.

    Parameters
    ----------
    resource, obj
        Its kind in the plural, and itself.
    store, namespace
        What is there already.
    level
        The Pod Security standard that the namespace enforces: "restricted", or "" for none.

    Raises
    ------
    Refusal
        With the code and the words of the real API.
    """
    meta = obj.get("metadata") or {}
    name = meta.get("name") or f"{meta.get('generateName', '')}x"
    if resource in _VALIDATED:
        try:
            kubernetes_validate.validate(obj, "1.37")
        except kubernetes_validate.ValidationError as error:
            place = ".".join(map(str, error.path))
            raise Refusal(422, "Invalid", f'{resource} "{name}" is invalid: {place}: {error.message}') from None
    wrong = list(_metadata(meta, name))
    if resource == "pods":
        wrong += _pod(obj["spec"])
    if resource == "persistentvolumeclaims":
        wrong += _claim(obj["spec"])
    if wrong:
        kind = obj.get("kind", resource)
        raise Refusal(422, "Invalid", f'{kind} "{name}" is invalid: {"; ".join(wrong)}')
    if resource == "pods":
        account = obj["spec"].get("serviceAccountName") or "default"
        if account != "default" and not store.has(("serviceaccounts", namespace, account)):
            raise Refusal(
                403, "Forbidden", f'pods "{name}" is forbidden: error looking up service account {namespace}/{account}'
            )
        if level == "restricted" and (seen := list(violations(obj["spec"]))):
            raise Refusal(
                403, "Forbidden", f'pods "{name}" is forbidden: violates PodSecurity "restricted": {", ".join(seen)}'
            )


def _metadata(meta: Object, name: str) -> Iterator[str]:
    if not _SUBDOMAIN.fullmatch(name):
        yield f"metadata.name: Invalid value: {name!r}: a lowercase RFC 1123 subdomain"
    for key, value in (meta.get("labels") or {}).items():
        if not _KEY.fullmatch(key) or not isinstance(value, str) or not _VALUE.fullmatch(value):
            yield f"metadata.labels: Invalid value: {key}: {value!r}"
    for key, value in (meta.get("annotations") or {}).items():
        if not _KEY.fullmatch(key.lower()) or not isinstance(value, str):
            yield f"metadata.annotations: Invalid value: {key}: {value!r}"


def _pod(spec: Object) -> Iterator[str]:
    names: set[str] = set()
    for i, volume in enumerate(spec.get("volumes") or []):
        name, sources = volume.get("name", ""), [k for k, v in volume.items() if k != "name" and v is not None]
        if not _LABEL.fullmatch(name):
            yield f"spec.volumes[{i}].name: Invalid value: {name!r}: a lowercase RFC 1123 label"
        if name in names:
            yield f"spec.volumes[{i}].name: Duplicate value: {name!r}"
        if len(sources) != 1:
            yield f"spec.volumes[{i}]: must specify exactly one volume type: {sources}"
        names.add(name)
    called: set[str] = set()
    for kind in ("initContainers", "containers"):
        for i, container in enumerate(spec.get(kind) or []):
            place = f"spec.{kind}[{i}]"
            if container["name"] in called or not _LABEL.fullmatch(container["name"]):
                yield f"{place}.name: Invalid value: {container['name']!r}"
            called.add(container["name"])
            yield from _container(container, names, place)


def _container(container: Object, volumes: set[str], place: str) -> Iterator[str]:
    if not container.get("image"):
        yield f"{place}.image: Required value"
    paths: set[str] = set()
    for i, mount in enumerate(container.get("volumeMounts") or []):
        path = mount.get("mountPath", "")
        if mount["name"] not in volumes:
            yield f"{place}.volumeMounts[{i}].name: Not found: {mount['name']!r}"
        if not path or ":" in path:
            yield f"{place}.volumeMounts[{i}].mountPath: Required value"
        if path in paths:
            yield f"{place}.volumeMounts[{i}].mountPath: Invalid value: {path!r}: must be unique"
        paths.add(path)
        if ".." in (mount.get("subPath") or "").split("/") or (mount.get("subPath") or "").startswith("/"):
            yield f"{place}.volumeMounts[{i}].subPath: Invalid value"
    for variable in container.get("env") or []:
        if not _VARIABLE.fullmatch(variable["name"]):
            yield f"{place}.env: Invalid value: {variable['name']!r}"
        if "value" in variable and variable.get("valueFrom"):
            yield f"{place}.env: may not be specified when `value` is not empty: {variable['name']}"
    yield from _resources(container.get("resources") or {}, place)


def _resources(resources: dict[str, Any], place: str) -> Iterator[str]:
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for name in {*requests, *limits}:
        try:
            asked, most = (quantity(r[name]) if name in r else None for r in (requests, limits))
        except ValueError as error:
            yield f"{place}.resources: Invalid value: {error}"
            continue
        extended = "/" in name
        if asked is not None and most is not None and asked > most:
            yield f"{place}.resources.requests: Invalid value: {requests[name]!r}: must be less than or equal to {name} limit of {limits[name]}"
        if extended and (most is None or (asked is not None and asked != most) or most % 1):
            yield f"{place}.resources.limits: Limit must be set for non overcommitable resources, whole and the same: {name}"


def _claim(spec: Object) -> Iterator[str]:
    if not spec.get("accessModes"):
        yield "spec.accessModes: Required value: at least 1 access mode is required"
    try:
        if quantity(spec["resources"]["requests"]["storage"]) <= 0:
            yield "spec.resources[storage]: must be greater than zero"
    except (KeyError, TypeError, ValueError) as error:
        yield f"spec.resources[storage]: Required value ({error})"
