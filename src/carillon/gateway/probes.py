"""`/healthz`, `/readyz` and `/metrics`: for orchestrators and monitoring, outside `/api/v1` and its problems."""

import hmac
from collections.abc import Awaitable, Callable

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from carillon.ops import metrics
from carillon.ops.health import Checks
from carillon.storage.errors import SchemaOutdated
from carillon.storage.migrate import head
from carillon.storage.resources import Resources

from .addresses import is_loopback

router = APIRouter(include_in_schema=False)


def register_database(checks: Checks, resources: Resources) -> None:
    """Make readiness depend on the database: that it answers, and that it has this program's schema."""
    checks.register("database", _reachable(resources))
    checks.register("schema", _current(resources))


def _reachable(resources: Resources) -> Callable[[], Awaitable[str | None]]:
    async def probe() -> str | None:
        async with resources.database.across_tenants() as tx:
            return f"PostgreSQL {await tx.scalar('SHOW server_version')}"

    return probe


def _current(resources: Resources) -> Callable[[], Awaitable[str | None]]:
    wanted = head()

    async def probe() -> str | None:
        async with resources.database.across_tenants() as tx:
            found = await tx.scalar("SELECT version_num FROM storage.alembic_version")
        if found != wanted:
            message = f"the schema is at {found}, this program needs {wanted}: run `carillon migrate`"
            raise SchemaOutdated(message)
        return f"version {found}"

    return probe


@router.get("/healthz")
async def healthz() -> Response:
    """Whether the process is alive: it answers, so it is."""
    return _json({"alive": True})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Whether every part works; 503 and the reasons when not."""
    checks: Checks = request.app.state.checks
    findings = await checks.run()
    ready = all(finding.ready for finding in findings)
    parts = {
        finding.name: {"ready": finding.ready, "reason": finding.reason, "milliseconds": finding.milliseconds}
        for finding in findings
    }
    return _json({"ready": ready, "checks": parts}, 200 if ready else 503)


@router.get("/metrics")
async def prometheus_metrics(request: Request) -> Response:
    """Prometheus metrics, to this machine or to who has the token; nobody else learns that they are here."""
    if not (_has_token(request) or is_loopback(request)):
        return Response(status_code=404)
    body, content_type = metrics.render(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})


def _has_token(request: Request) -> bool:
    resources: Resources = request.app.state.resources
    token = resources.settings.metrics_token
    given = request.headers.get("authorization", "")
    return token is not None and hmac.compare_digest(given.encode(), f"Bearer {token.get_secret_value()}".encode())


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, {"Cache-Control": "no-store"}, "application/json")
