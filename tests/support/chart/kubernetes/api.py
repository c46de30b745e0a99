"""The HTTP of it: paths, verbs, selectors, watches, and who may do what."""

from __future__ import annotations

import asyncio
import copy
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.chart.kubernetes.admission import admit, stranger
from tests.support.chart.kubernetes.store import Key, Object, Refusal, Store, now
from tests.support.chart.kubernetes.words import apply, merge, selected, without_nulls
from tests.support.servers.served import served

KINDS = {
    "pods": "Pod", "persistentvolumeclaims": "PersistentVolumeClaim", "services": "Service", "secrets": "Secret", "events": "Event",
    "endpoints": "Endpoints", "configmaps": "ConfigMap", "serviceaccounts": "ServiceAccount",
    "storageclasses.storage.k8s.io": "StorageClass", "endpointslices.discovery.k8s.io": "EndpointSlice",
    "daskclusters.gateway.dask.org": "DaskCluster", "ingressroutes.traefik.io": "IngressRoute", "ingressroutetcps.traefik.io": "IngressRouteTCP",
}  # fmt: skip
Rule = dict[str, list[str]]


@dataclass
class Api:
    """A cluster with one namespace.

    Parameters
    ----------
    rights
        By the token of each account, the rules of its role.
    namespace
        The only one there is.
    level
        The Pod Security standard that it enforces.
    """

    rights: dict[str, list[Rule]]
    namespace: str = "lab"
    level: str = "restricted"
    store: Store = field(default_factory=Store)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    """Every request that changes something: verb, resource and the code of the answer."""
    warned: list[str] = field(default_factory=list)
    """Fields of new objects that it does not know."""
    out_of_order: int = 0
    """So many next lists and watches are answered 500."""
    url: str = ""

    @contextmanager
    def serving(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Api]:
        """Serve it; its address is in `url`."""
        root = "/api/{version}", "/apis/{group}/{version}"
        tails = ("/{resource}", "/namespaces/{namespace}/{resource}")
        paths = [f"{r}{t}{n}" for r in root for t in tails for n in ("", "/{name}", "/{name}/{part}")]
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        # The longest first: `/api/v1/namespaces/lab/pods` is no resource called namespaces.
        routes = [Route(p, self._answer, methods=methods) for p in sorted(paths, key=len, reverse=True)]
        routes.append(Route("/version", lambda _: JSONResponse({"major": "1", "minor": "36"})))

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            self._loop = asyncio.get_running_loop()
            yield

        with served(Starlette(routes=routes, lifespan=lifespan), tls, host) as self.url:
            yield self

    def do(self, what: Callable[[], Any]) -> Any:
        """Do something to the cluster, in the thread that all of it runs in."""

        async def done() -> Any:
            return what()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(120)

    def all(self, resource: str) -> list[Object]:
        """The objects of a kind."""
        found: list[Object] = self.do(lambda: self.store.list(resource, ""))
        return found

    def kubeconfig(self, token: str, path: Path) -> Path:
        """Write how to reach it as somebody."""
        parts = {
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": self.namespace}}],
        }
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "x", **parts}))
        return path

    async def _answer(self, request: Request) -> Response:
        try:
            if self.out_of_order and request.method == "GET":
                self.out_of_order -= 1
                raise Refusal(500, "InternalError", "etcdserver: request timed out")
            return await self._do(request)
        except Refusal as refusal:
            self._note(request, refusal.code)
            return JSONResponse(refusal.status, refusal.code)

    def _note(self, request: Request, code: int) -> None:
        if request.method != "GET":
            self.asked.append((request.method, request.path_params["resource"], code))

    async def _do(self, request: Request) -> Response:
        path = request.path_params
        resource = f"{path['resource']}.{path['group']}" if "group" in path else path["resource"]
        if resource not in KINDS:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        namespace, name = path.get("namespace", ""), path.get("name", "")
        watching = request.query_params.get("watch") in ("true", "True", "1")
        verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(request.method, "")
        verb = verb or ("get" if name else "watch" if watching else "list")
        self._authorize(request, verb, path, namespace)
        if namespace not in ("", self.namespace):
            raise Refusal(404, "NotFound", f'namespaces "{namespace}" not found')
        key = (resource, namespace, name)
        body = json.loads(await request.body() or b"{}")
        match verb:
            case "watch":
                return self._watch(request, resource, namespace)
            case "list":
                items = [o for o in self.store.list(resource, namespace) if selected(o, request.query_params)]
                listed = {
                    "kind": f"{KINDS[resource]}List",
                    "apiVersion": "v1",
                    "metadata": {"resourceVersion": self.store.version},
                }
                return JSONResponse({**listed, "items": items})
            case "get":
                return JSONResponse(self.store.get(key))
            case "create":
                answer, code = self._create(resource, namespace, body), 201
            case "delete":
                answer, code = self._delete(key, request, body), 200
            case _:
                answer, code = self._change(key, request, body, path.get("part", "")), 200
        self._note(request, code)
        return JSONResponse(answer, code)

    def _authorize(self, request: Request, verb: str, path: dict[str, str], namespace: str) -> None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.rights:
            raise Refusal(401, "Unauthorized", "Unauthorized")
        wanted = path["resource"] + (f"/{path['part']}" if "part" in path else "")
        for rule in self.rights[token]:
            groups, resources, verbs = rule["apiGroups"], rule["resources"], rule["verbs"]
            if path.get("group", "") in groups and wanted in resources and (verb in verbs or "*" in verbs):
                return
        raise Refusal(
            403,
            "Forbidden",
            f'{path["resource"]} is forbidden: User cannot {verb} resource "{wanted}" in the namespace "{namespace}"',
        )

    def _create(self, resource: str, namespace: str, obj: Object) -> Object:
        # What has a type of Kubernetes' own has no nulls; what a CRD does not describe is kept as it came.
        obj = obj if "." in resource else without_nulls(obj)
        obj.setdefault("kind", KINDS[resource])
        obj.setdefault("apiVersion", "v1")
        where = (obj.get("metadata") or {}).get("namespace", namespace)
        if where != namespace:
            raise Refusal(400, "BadRequest", "the namespace of the provided object does not match the request")
        admit(resource, obj, self.store, namespace, self.level)
        if warning := stranger(resource, obj):
            self.warned.append(warning)
        if resource == "pods":
            obj["status"] = {"phase": "Pending", "conditions": []}
        if resource == "persistentvolumeclaims":
            obj["status"] = {"phase": "Bound"}
        return self.store.create(resource, namespace, obj)

    def _delete(self, key: Key, request: Request, options: Object) -> Object:
        obj = self.store.get(key)
        grace = request.query_params.get("gracePeriodSeconds", options.get("gracePeriodSeconds"))
        if key[0] == "pods" and (grace is None or int(grace) > 0) and obj["spec"].get("nodeName"):

            def leave(pod: Object) -> None:
                pod["metadata"] |= {"deletionTimestamp": now(), "deletionGracePeriodSeconds": int(grace or 30)}

            return self.store.update(key, leave)
        return self.store.remove(key)

    def _change(self, key: Key, request: Request, body: Any, part: str) -> Object:
        kind = request.headers.get("Content-Type", "")

        def change(obj: Object) -> None:
            if request.method == "PUT":
                before = copy.deepcopy(obj)
                obj.clear()
                obj.update(body if not part else {**before, part: body.get(part)})
            elif "json-patch" in kind:
                for step in body:
                    apply(obj, step)
            else:
                merge(obj, {part: body.get(part)} if part else body)

        return self.store.update(key, change)

    def _watch(self, request: Request, resource: str, namespace: str) -> Response:
        query = request.query_params

        async def lines() -> AsyncIterator[bytes]:
            try:
                since, seconds = int(query.get("resourceVersion") or 0), float(query.get("timeoutSeconds") or 300)
                async for event, obj in self.store.watch(resource, namespace, since, seconds):
                    if selected(obj, query):
                        yield json.dumps({"type": event, "object": obj}).encode() + b"\n"
            except Refusal as refusal:  # the answer has begun: it is an event
                yield json.dumps({"type": "ERROR", "object": refusal.status}).encode() + b"\n"

        return StreamingResponse(lines(), media_type="application/json")
