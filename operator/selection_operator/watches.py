"""The only file that knows kopf: watches that fill the caches and enqueue runs; startup and clean-up."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import kopf

from selection_api.names import API_VERSION, GROUP, LABEL_RUN, PLURAL, VERSION
from selection_operator.cluster.api_server import OURS, connect
from selection_operator.cluster.progress_poller import Poller
from selection_operator.loop.caches import ObjectIndex
from selection_operator.loop.controller import Controller
from selection_operator.loop.queue import WorkQueue
from selection_operator.serving.http_server import make_server, serve
from selection_operator.serving.metrics import REGISTRY, RunsCollector
from selection_operator.settings import Settings
from selection_operator.views.jobs import view_job
from selection_operator.views.pods import view_pod
from selection_operator.views.runs import view_run

SERVER_TIMEOUT_SECONDS = 600  # the API server reads whole numbers only


async def operate(settings: Settings) -> None:
    """Run the operator until it is told to stop."""
    clock = asyncio.get_running_loop().time
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(connect(settings.watch_namespaces))
        controller = Controller(cluster, settings, WorkQueue(clock))
        poller = Poller(controller.caches, cluster, controller.queue, settings.progress_seconds, clock)
        await kopf.operator(
            registry=make_registry(controller, poller),
            settings=make_kopf_settings(),
            clusterwide=not settings.watch_namespaces,
            namespaces=settings.watch_namespaces,
            standalone=True,
        )


def make_kopf_settings() -> kopf.OperatorSettings:
    """Return kopf's settings: server-side selectors for our children, nothing written, nothing scanned."""
    chosen = kopf.OperatorSettings()
    chosen.scanning.disabled = True  # else it wants to list namespaces and CRDs
    chosen.posting.enabled = False
    chosen.watching.server_timeout = SERVER_TIMEOUT_SECONDS
    chosen.watching.label_selectors["batch", "jobs"] = OURS
    chosen.watching.label_selectors["", "v1", "pods"] = OURS
    return chosen


def make_registry(controller: Controller, poller: Poller) -> kopf.OperatorRegistry:
    """Return the handlers: watches only, so that kopf writes neither finalizers nor annotations."""
    registry = kopf.OperatorRegistry()
    caches = controller.caches

    def listen(index: ObjectIndex[Any], view: Callable[[Any], Any]) -> Callable[..., Any]:
        async def take(event: Any, **_: Any) -> None:
            raw = {"apiVersion": API_VERSION, **event["object"]}
            seen = view(raw)
            index.watch(seen, deleted=event["type"] == "DELETED")
            controller.queue.add(index.run_of(seen))

        return take

    kopf.on.event(GROUP, VERSION, PLURAL, id="runs", registry=registry)(listen(caches.runs, view_run))
    of_a_run = {LABEL_RUN: kopf.PRESENT}
    kopf.on.event("batch", "v1", "jobs", id="jobs", labels=of_a_run, registry=registry)(listen(caches.jobs, view_job))
    kopf.on.event("", "v1", "pods", id="pods", labels=of_a_run, registry=registry)(listen(caches.pods, view_pod))
    _register_life(registry, controller, poller)
    return registry


def _register_life(registry: kopf.OperatorRegistry, controller: Controller, poller: Poller) -> None:
    stack = AsyncExitStack()

    @kopf.on.login(registry=registry)
    def login(**keywords: Any) -> Any:
        in_pod = kopf.login_with_service_account(**keywords)
        return replace(in_pod, server=_server_in_pod()) if in_pod else kopf.login_with_kubeconfig(**keywords)

    @kopf.on.startup(registry=registry)
    async def start(**_: Any) -> None:
        REGISTRY.register(RunsCollector(controller.caches.runs.objects.values))
        runner = await serve(make_server(REGISTRY, controller.health_problems), controller.settings.listen)
        stack.push_async_callback(runner.cleanup)
        controller.start(poller.run())
        stack.push_async_callback(controller.stop)

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await stack.aclose()


def _server_in_pod() -> str:
    """Return the API server's address as client libraries do: kopf's name for it needs the cluster's DNS."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
