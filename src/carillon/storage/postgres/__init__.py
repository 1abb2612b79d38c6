"""The embedded PostgreSQL: find its programs, create a cluster, start, attach, stop, dump and restore.

Everything here blocks; call it from a thread inside an event loop. Roles, grants and schemas are made
elsewhere, through `RunningCluster.superuser_url`. With an external PostgreSQL nobody comes here.
"""

from .binaries import OLDEST_VERSION, Binaries, find_binaries
from .cluster import RunningCluster, start_cluster, stop_cluster
from .dumps import dump, restore_dump
from .errors import (
    ClusterFailed,
    ClusterInUse,
    DiskFull,
    DumpFailed,
    NoAccount,
    NoBinaries,
    NotACluster,
    PasswordLost,
    RestoreFailed,
    VersionMismatch,
)

__all__ = [
    "OLDEST_VERSION",
    "Binaries",
    "ClusterFailed",
    "ClusterInUse",
    "DiskFull",
    "DumpFailed",
    "NoAccount",
    "NoBinaries",
    "NotACluster",
    "PasswordLost",
    "RestoreFailed",
    "RunningCluster",
    "VersionMismatch",
    "dump",
    "find_binaries",
    "restore_dump",
    "start_cluster",
    "stop_cluster",
]
