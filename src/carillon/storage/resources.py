"""What every service is handed at run time."""

from dataclasses import dataclass

from carillon.kernel.clock import Clock
from carillon.ops.settings import Settings

from .blobs import Blobs
from .database import Database
from .vault import Vault


@dataclass(frozen=True, slots=True)
class Resources:
    """The open parts of one process: made once by the composition root, passed to endpoints and jobs."""

    settings: Settings
    database: Database
    vault: Vault
    blobs: Blobs
    clock: Clock
