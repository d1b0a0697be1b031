"""The only file that knows kopf: watches that fill the caches and enqueue keys; startup and clean-up."""

import asyncio
import os
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import kopf

from selection_operator.cluster.api_server import connect
from selection_operator.cluster.progress_poller import ProgressPoller
from selection_operator.loop.controller import Controller
from selection_operator.loop.queue import WorkQueue
from selection_operator.runs.reconcile import SELECTION_RUN
from selection_operator.serving.http_server import make_server, serve
from selection_operator.serving.metrics import REGISTRY, RunsCollector
from selection_operator.settings import Settings
from selection_operator.views.resources import PODS, RUNS, Resource

SERVER_TIMEOUT_SECONDS = 600  # the API server reads whole numbers only


async def operate(settings: Settings) -> None:
    """Run the operator until it is told to stop."""
    clock = asyncio.get_running_loop().time
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect(settings.watch_namespaces))
        controller = Controller(api, (SELECTION_RUN,), settings, WorkQueue(clock))
        poller = ProgressPoller(
            pods=controller.caches[PODS].objects,
            live=controller.caches.live,
            ask=api.read_progress,
            tell=lambda pod: controller.queue.add(pod.owner),
            every_seconds=settings.progress_seconds,
            clock=clock,
        )
        await kopf.operator(
            registry=make_registry(controller, poller),
            settings=make_kopf_settings(controller.caches.indices),
            clusterwide=not settings.watch_namespaces,
            namespaces=settings.watch_namespaces,
            standalone=True,
        )


def make_kopf_settings(resources: Iterable[Resource[Any]]) -> kopf.OperatorSettings:
    """Return kopf's settings: server-side selectors for our children, nothing written, nothing scanned."""
    chosen = kopf.OperatorSettings()
    chosen.scanning.disabled = True  # else it wants to list namespaces and CRDs
    chosen.posting.enabled = False
    chosen.watching.server_timeout = SERVER_TIMEOUT_SECONDS
    for resource in resources:
        if resource.selector:
            chosen.watching.label_selectors[resource.group, resource.version, resource.plural] = resource.selector
    return chosen


def make_registry(controller: Controller, poller: ProgressPoller) -> kopf.OperatorRegistry:
    """Return the handlers: watches only, so that kopf writes neither finalizers nor annotations."""
    registry = kopf.OperatorRegistry()
    for resource in controller.caches.indices:
        watch = kopf.on.event(resource.group, resource.version, resource.plural, id=resource.plural, registry=registry)
        watch(_listen(controller, resource))
    _register_life(registry, controller, poller)
    return registry


def _listen(controller: Controller, resource: Resource[Any]) -> Callable[..., Any]:
    async def take(event: Any, **_: Any) -> None:
        seen = resource.view(event["object"])
        controller.caches[resource].watch(seen, deleted=event["type"] == "DELETED")
        controller.queue.add(seen.owner)

    return take


def _register_life(registry: kopf.OperatorRegistry, controller: Controller, poller: ProgressPoller) -> None:
    stack = AsyncExitStack()

    @kopf.on.login(registry=registry)
    def login(**keywords: Any) -> Any:
        in_pod = kopf.login_with_service_account(**keywords)
        return replace(in_pod, server=_server_in_pod()) if in_pod else kopf.login_with_kubeconfig(**keywords)

    @kopf.on.startup(registry=registry)
    async def start(**_: Any) -> None:
        REGISTRY.register(RunsCollector(controller.caches[RUNS].objects.values))
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
