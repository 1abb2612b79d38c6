"""What conversations offer to the composition root."""

from carillon.gateway.manifest import Manifest

from .consumers import consumers
from .endpoints import canned, router
from .jobs import timed

manifest = Manifest(name="platforms.conversations", routers=(router, canned), consumers=consumers, timed=timed)
"""The inbox, the consumers that fill it, and the timetable. `api.ConversationData` is for erasures."""
