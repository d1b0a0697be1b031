"""/healthz for the kubelet and /metrics for Prometheus."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest


def make_server(registry: CollectorRegistry, health_problems: Callable[[], list[str]]) -> web.Application:
    """Return the application: /healthz answers 200 with `ok`, or 500 with what is wrong."""

    async def healthz(_: web.Request) -> web.Response:
        found = health_problems()
        return web.Response(status=500 if found else 200, text="\n".join(found) or "ok")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/metrics", metrics)
    return application


async def serve(application: web.Application, address: tuple[str, int]) -> web.AppRunner:
    """Start to serve; the caller cleans the runner up."""
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, *address).start()
    return runner
