"""The HTTP application and the consumers, put together from the services."""

from collections.abc import Mapping

from fastapi import FastAPI

from carillon.events.consumer import Consumer
from carillon.gateway.app import create_app
from carillon.gateway.manifest import Manifest
from carillon.identity.auth.api import IdentityAuthenticator
from carillon.kernel.permissions import Permission
from carillon.ops.settings import Settings
from carillon.platforms.connectors.port import Connector
from carillon.platforms.delivery import api as delivery
from carillon.storage.resources import Resources

from .compose import connectors
from .operations import failed_jobs_router, operations_router
from .services import MANIFESTS

LIVE_PERMISSIONS: Mapping[str, Permission] = {
    "account": Permission.ACCOUNTS_READ,
    "campaign": Permission.CAMPAIGNS_READ,
    "contact": Permission.CONTACTS_READ,
    "consent": Permission.CONSENTS_READ,
    "conversation": Permission.CONVERSATIONS_READ,
    "import": Permission.CONTACTS_READ,
    "lane": Permission.CAMPAIGNS_READ,
    "message": Permission.MESSAGES_READ,
    "messages": Permission.CAMPAIGNS_READ,
    "proxy": Permission.PROXIES_READ,
}
"""Who may see which events on the live feed, by prefix of their type."""


def consumers(available: Mapping[str, Connector]) -> dict[str, Consumer]:
    """Every consumer of the product by name."""
    declared = [consumer for manifest in MANIFESTS for consumer in manifest.consumers]
    return {consumer.name: consumer for consumer in (*declared, delivery.webhook_consumer(available))}


def build_app(settings: Settings, resources: Resources) -> FastAPI:
    """The HTTP application."""
    available = connectors(settings)
    operations = Manifest("operations", routers=(operations_router(consumers(available)), failed_jobs_router))
    return create_app(
        (*MANIFESTS, operations),
        resources,
        IdentityAuthenticator(resources),
        routers=(delivery.webhook_router(available),),
        live_permissions=LIVE_PERMISSIONS,
        live_coalesced=frozenset({"messages.planned", "import.progressed"}),
    )
