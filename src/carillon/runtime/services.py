"""Every service of the product, in the order of the dependency rule. Adding one is adding a line."""

from carillon.audience.consents.manifest import manifest as consents
from carillon.audience.contacts.api import register_person_data
from carillon.audience.contacts.manifest import manifest as contacts
from carillon.audience.segments.manifest import manifest as segments
from carillon.events.maintenance import TIMED as EVENTS_TIMED
from carillon.gateway.maintenance import manifest as gateway
from carillon.gateway.manifest import Manifest
from carillon.identity.api_keys.manifest import manifest as api_keys
from carillon.identity.audit.manifest import manifest as audit
from carillon.identity.auth.manifest import manifest as auth
from carillon.identity.roles.manifest import manifest as roles
from carillon.identity.tenants.manifest import manifest as tenants
from carillon.identity.users.manifest import manifest as users
from carillon.platforms.accounts.manifest import manifest as accounts
from carillon.platforms.conversations.api import ConversationData
from carillon.platforms.conversations.manifest import manifest as conversations
from carillon.platforms.delivery.api import MessageData
from carillon.platforms.delivery.manifest import manifest as delivery
from carillon.platforms.proxies.manifest import manifest as proxies
from carillon.platforms.templates.manifest import manifest as templates
from carillon.scheduling.campaigns.manifest import manifest as campaigns
from carillon.scheduling.timers.manifest import manifest as timers

from .noticing import manifest as notices

MANIFESTS: tuple[Manifest, ...] = (
    Manifest("events", timed=EVENTS_TIMED),
    gateway,
    tenants,
    users,
    roles,
    auth,
    api_keys,
    audit,
    contacts,
    consents,
    segments,
    accounts,
    proxies,
    templates,
    delivery,
    conversations,
    campaigns,
    timers,
    notices,
)

# What other services hold about a person, for the export and erasure of that person.
register_person_data(MessageData())
register_person_data(ConversationData())
