"""The API server: every request that the operator sends it. rbac.py lists the verbs."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.exceptions import ApiException

from selection_api.names import OPERATOR_NAME, PROGRESS_PORT
from selection_operator.kind import Create, Delete, Lookup, Patch
from selection_operator.serving.metrics import API_WRITES
from selection_operator.views.custom_objects import CustomObject
from selection_operator.views.resources import Resource

V = TypeVar("V")

TIMEOUT_SECONDS = 30.0
PAGE = 500
PROGRESS_TIMEOUT = aiohttp.ClientTimeout(total=2.0)
LONGEST_PROGRESS = 16 * 1024
MERGE_PATCH = "application/merge-patch+json"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class ApiFailure(Exception):
    """The API server said no, or nothing (status 0)."""

    def __init__(self, status: int, message: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{status or 'no answer'}: {message}")
        self.status = status
        self.message = message
        self.retry_after = retry_after


@dataclass(frozen=True)
class ApiServer:
    """The API server, and the pods' progress ports."""

    client: ApiClient
    session: aiohttp.ClientSession
    namespaces: tuple[str, ...] = ()

    async def list_all(self, resource: Resource[V]) -> list[V]:
        """Return every object of a resource that is ours to see, in the namespaces that we serve."""
        root = await self._root(resource)
        views: list[V] = []
        for place in [f"namespaces/{each}/" for each in self.namespaces] or [""]:
            query = {"limit": str(PAGE), **({"labelSelector": resource.selector} if resource.selector else {})}
            while True:
                answer = await self._request("GET", f"{root}/{place}{resource.plural}", query=query)
                views += [resource.view(raw) for raw in answer["items"]]
                token = answer["metadata"].get("continue")
                if not token:
                    break
                query = {**query, "continue": token}
        return views

    async def look_up(self, lookup: Lookup[V]) -> list[V]:
        """Return what a lookup finds, at most a page; nothing where the resource is not installed."""
        selectors = {"labelSelector": lookup.labels, "fieldSelector": lookup.fields, "limit": str(PAGE)}
        query = {name: value for name, value in selectors.items() if value}
        try:
            answer = await self._request("GET", await self._path(lookup.resource, lookup.namespace), query=query)
        except ApiFailure as failure:
            if failure.status == 404:
                return []
            raise
        return [lookup.resource.view(raw) for raw in answer["items"]]

    async def get(self, resource: Resource[V], namespace: str, name: str) -> V | None:
        """Return an object as it is now; None when there is none of that name."""
        try:
            return resource.view(await self._request("GET", await self._path(resource, namespace, name)))
        except ApiFailure as failure:
            if failure.status == 404:
                return None
            raise

    async def write_status(self, resource: Resource[V], owner: CustomObject, status: Mapping[str, Any]) -> V:
        """Replace an object's status, if it is still as we know it; raises ApiFailure 409 otherwise."""
        _, namespace, name = owner.key
        metadata = {"name": name, "namespace": namespace, "uid": owner.uid, "resourceVersion": owner.resource_version}
        body = {**owner.document, "metadata": metadata, "status": status}
        return await self._write("PUT", resource, namespace, f"{name}/status", body)

    async def create(self, wanted: Create) -> Any:
        """Make an object and return its view; raises ApiFailure 409 when the name is taken."""
        return await self._write("POST", wanted.resource, wanted.body["metadata"]["namespace"], "", wanted.body)

    async def patch(self, wanted: Patch) -> Any:
        """Change an object and return its view."""
        return await self._write("PATCH", wanted.resource, wanted.namespace, wanted.name, wanted.body)

    async def delete(self, wanted: Delete) -> None:
        """Delete an object, and what it owns after it."""
        _, namespace, name = wanted.target.key
        body = {"preconditions": {"uid": wanted.target.uid}, "propagationPolicy": "Background"}
        _count("delete", wanted.resource.plural)
        await self._request("DELETE", await self._path(wanted.resource, namespace, name), body=body)

    async def read_progress(self, address: str) -> bytes:
        """Return what a pod says about its progress, at most 16 KiB; b'' for nothing."""
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{PROGRESS_PORT}/progress"
        try:
            async with self.session.get(url, allow_redirects=False, timeout=PROGRESS_TIMEOUT) as answer:
                return await _read_at_most(answer, LONGEST_PROGRESS) if answer.status == 200 else b""
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return b""

    async def _root(self, resource: Resource[Any]) -> str:
        """Return where a resource's group lies: in the version that the server prefers, where we have no choice."""
        if resource.version:
            return f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"
        group = await self._request("GET", f"apis/{resource.group}")
        return f"apis/{group['preferredVersion']['groupVersion']}"

    async def _path(self, resource: Resource[Any], namespace: str, name: str = "") -> str:
        path = f"{await self._root(resource)}/namespaces/{namespace}/{resource.plural}"
        return f"{path}/{name}" if name else path

    async def _write(self, method: str, resource: Resource[V], namespace: str, name: str, body: Mapping[str, Any]) -> V:
        path = await self._path(resource, namespace, name)
        _count(method, f"{resource.plural}/status" if name.endswith("/status") else resource.plural)
        return resource.view(await self._request(method, path, body=body))

    async def _request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send a request and return the decoded answer. Raises ApiFailure, with the server's words."""
        content_type = MERGE_PATCH if method == "PATCH" else "application/json"
        headers = {"Accept": "application/json", "Content-Type": content_type}
        try:
            request = await self.client.param_serialize(
                method,
                f"/{path}",
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = await self.client.call_api(*request, _request_timeout=TIMEOUT_SECONDS)
            content = await answer.read()  # type: ignore[no-untyped-call]
        except (ApiException, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiFailure(getattr(error, "status", 0) or 0, str(error) or type(error).__name__) from error
        return _decode(answer.status, answer.headers, content)


@asynccontextmanager
async def connect(namespaces: Iterable[str] = ()) -> AsyncIterator[ApiServer]:
    """Open the way to the API server: in a pod by its service account, elsewhere by KUBECONFIG."""
    configuration = Configuration()
    if SERVICE_ACCOUNT.exists():
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    configuration.retries = None  # a pass is repeated as a whole, by the queue
    async with ApiClient(configuration) as client, aiohttp.ClientSession(trust_env=False) as session:
        client.user_agent = OPERATOR_NAME  # managedFields and audit logs name the writer by it
        yield ApiServer(client, session, tuple(namespaces))


def _count(method: str, resource: str) -> None:
    API_WRITES.labels(verb=method.lower(), resource=resource).inc()


def _decode(status: int, headers: Mapping[str, str], content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if 200 <= status < 300 and isinstance(answer, dict):
        return answer
    if status < 400:
        raise ApiFailure(0, f"an answer {status} that is no JSON object: {content[:200]!r}")
    message = answer.get("message") if isinstance(answer, dict) else None
    retry_after = headers.get("Retry-After", "0")
    seconds = min(float(retry_after), 300.0) if retry_after.isdecimal() else 0.0
    raise ApiFailure(status, str(message or content[:200].decode(errors="replace")), seconds)


async def _read_at_most(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Read until the end or the limit, whichever comes first; what is longer is nothing of ours."""
    content = b""
    async for chunk in answer.content.iter_chunked(4096):
        content += chunk
        if len(content) > most:
            return b""
    return content
