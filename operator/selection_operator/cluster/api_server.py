"""The only file that talks to the API server and to pods. rbac.py lists the verbs."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.exceptions import ApiException

from selection_api.names import (
    ANNOTATION_SUSPENDED_BY,
    API_VERSION,
    GROUP,
    KIND,
    LABEL_JOB_UID,
    LABEL_MANAGED_BY,
    OPERATOR_NAME,
    PLURAL,
    PROGRESS_PORT,
    VERSION,
)
from selection_operator.serving.metrics import API_WRITES
from selection_operator.views.jobs import JobView, WorkloadView, view_job, view_workload
from selection_operator.views.pods import EventView, PodView, view_event, view_pod
from selection_operator.views.runs import RunKey, RunView, view_run

OURS = f"{LABEL_MANAGED_BY}={OPERATOR_NAME}"
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
class Cluster:
    """The API server, and the pods' progress ports."""

    client: ApiClient
    session: aiohttp.ClientSession
    namespaces: tuple[str, ...] = ()

    async def list_runs(self) -> list[RunView]:
        """Return every run that we serve."""
        return [view_run(raw) async for raw in self._list_all(f"apis/{API_VERSION}", PLURAL, "")]

    async def list_jobs(self) -> list[JobView]:
        """Return every Job of ours."""
        return [view_job(raw) async for raw in self._list_all("apis/batch/v1", "jobs", OURS)]

    async def list_pods(self) -> list[PodView]:
        """Return every Pod of our Jobs."""
        return [view_pod(raw) async for raw in self._list_all("api/v1", "pods", OURS)]

    async def list_pods_of(self, job: JobView) -> list[PodView]:
        """Return a Job's Pods as they are now, not as the watch has them."""
        query = {"labelSelector": f"batch.kubernetes.io/controller-uid={job.uid}"}
        answer = await self._request("GET", f"api/v1/namespaces/{job.run[0]}/pods", query=query)
        return [view_pod(raw) for raw in answer["items"]]

    async def get_run(self, key: RunKey) -> RunView | None:
        """Return a run as it is now; None when there is none of that name."""
        raw = await self._find(_run_path(key))
        return view_run(raw) if raw else None

    async def get_job(self, namespace: str, name: str) -> JobView | None:
        """Return a Job as it is now; None when there is none of that name."""
        raw = await self._find(f"{_jobs_path(namespace)}/{name}")
        return view_job(raw) if raw else None

    async def list_events(self, namespace: str, kind: str, name: str) -> list[EventView]:
        """Return the Events about an object."""
        query = {"fieldSelector": f"involvedObject.kind={kind},involvedObject.name={name}", "limit": str(PAGE)}
        answer = await self._request("GET", f"api/v1/namespaces/{namespace}/events", query=query)
        return [view_event(raw) for raw in answer["items"]]

    async def find_workload(self, job: JobView) -> WorkloadView | None:
        """Return Kueue's Workload of a Job; None while there is none, or no Kueue."""
        group = await self._find("apis/kueue.x-k8s.io")
        if group is None:
            return None
        path = f"apis/{group['preferredVersion']['groupVersion']}/namespaces/{job.run[0]}/workloads"
        answer = await self._request("GET", path, query={"labelSelector": f"{LABEL_JOB_UID}={job.uid}"})
        return next((view_workload(f"{path}/{raw['metadata']['name']}", raw) for raw in answer["items"]), None)

    async def write_status(self, run: RunView, status: Mapping[str, Any]) -> RunView:
        """Replace a run's status, if the run is still as we know it; raises ApiFailure 409 otherwise."""
        namespace, name = run.key
        metadata = {"name": name, "namespace": namespace, "uid": run.uid, "resourceVersion": run.resource_version}
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": run.document["spec"]}
        raw = await self._request("PUT", f"{_run_path(run.key)}/status", body={**body, "status": status})
        return view_run(raw)

    async def create_job(self, body: Mapping[str, Any]) -> JobView:
        """Make a Job; raises ApiFailure 409 when the name is taken."""
        return view_job(await self._request("POST", _jobs_path(body["metadata"]["namespace"]), body=body))

    async def set_job_suspended(self, job: JobView, *, suspended: bool) -> JobView:
        """Suspend or resume a Job, and note on it that it was us."""
        annotations = {ANNOTATION_SUSPENDED_BY: OPERATOR_NAME if suspended else None}
        patch = {"metadata": {"uid": job.uid, "annotations": annotations}, "spec": {"suspend": suspended}}
        return view_job(await self._patch(f"{_jobs_path(job.run[0])}/{job.name}", patch))

    async def end_job(self, job: JobView) -> JobView:
        """Let a Job fail by its deadline: its pods are stopped, and those that ended stay for their logs."""
        patch = {"metadata": {"uid": job.uid}, "spec": {"activeDeadlineSeconds": 1}}
        return view_job(await self._patch(f"{_jobs_path(job.run[0])}/{job.name}", patch))

    async def set_workload_active(self, path: str, *, active: bool) -> None:
        """Activate or deactivate a Workload, and note on it that it was us."""
        annotations = {ANNOTATION_SUSPENDED_BY: None if active else OPERATOR_NAME}
        patch = {"metadata": {"annotations": annotations}, "spec": {"active": active}}
        await self._patch(path, patch)

    async def delete_run(self, run: RunView) -> None:
        """Delete this very run, not one that has its name by now."""
        body = {"preconditions": {"uid": run.uid}, "propagationPolicy": "Background"}
        await self._request("DELETE", _run_path(run.key), body=body)

    async def create_event(self, namespace: str, body: Mapping[str, Any]) -> None:
        """Record a Kubernetes Event."""
        await self._request("POST", f"api/v1/namespaces/{namespace}/events", body=body)

    async def read_progress(self, address: str) -> bytes:
        """Return what a pod says about its progress, at most 16 KiB; b'' for nothing."""
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{PROGRESS_PORT}/progress"
        try:
            async with self.session.get(url, allow_redirects=False, timeout=PROGRESS_TIMEOUT) as answer:
                return await _read_at_most(answer, LONGEST_PROGRESS) if answer.status == 200 else b""
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return b""

    async def _list_all(self, api: str, plural: str, selector: str) -> AsyncIterator[dict[str, Any]]:
        places: Sequence[str] = [f"namespaces/{each}/" for each in self.namespaces] or [""]
        for place in places:
            query = {"limit": str(PAGE), **({"labelSelector": selector} if selector else {})}
            while True:
                answer = await self._request("GET", f"{api}/{place}{plural}", query=query)
                for item in answer["items"]:
                    yield {"apiVersion": API_VERSION, **item}
                token = answer["metadata"].get("continue")
                if not token:
                    break
                query = {**query, "continue": token}

    async def _find(self, path: str) -> dict[str, Any] | None:
        try:
            return await self._request("GET", path)
        except ApiFailure as failure:
            if failure.status == 404:
                return None
            raise

    async def _patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._request("PATCH", path, body=body, content_type=MERGE_PATCH)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Send a request and return the decoded answer. Raises ApiFailure, with the server's words."""
        _count(method, path)
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
async def connect(namespaces: Iterable[str] = ()) -> AsyncIterator[Cluster]:
    """Open the way to the API server: in a pod by its service account, elsewhere by KUBECONFIG."""
    configuration = Configuration()
    if SERVICE_ACCOUNT.exists():
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    configuration.retries = None  # a pass is repeated as a whole, by the queue
    async with ApiClient(configuration) as client, aiohttp.ClientSession(trust_env=False) as session:
        client.user_agent = OPERATOR_NAME  # managedFields and audit logs name the writer by it
        yield Cluster(client, session, tuple(namespaces))


def _run_path(key: RunKey) -> str:
    return f"apis/{GROUP}/{VERSION}/namespaces/{key[0]}/{PLURAL}/{key[1]}"


def _jobs_path(namespace: str) -> str:
    return f"apis/batch/v1/namespaces/{namespace}/jobs"


def _count(method: str, path: str) -> None:
    if method != "GET":
        resource = next((word for word in (f"{PLURAL}", "jobs", "events", "workloads") if f"/{word}" in path), "other")
        API_WRITES.labels(
            verb=method.lower(), resource=f"{resource}/status" if path.endswith("/status") else resource
        ).inc()


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
