"""The server's settings: durable, for one small machine, kept out of PostgreSQL's own files.

They are written to `carillon.conf` at each start, which postgresql.conf includes at its end; what an
operator adds below that line, or sets by ALTER SYSTEM, wins.
"""

import subprocess
import sys

import psutil

from .binaries import Binaries

INCLUDED = "carillon.conf"
INCLUDE_LINE = f"\n# Carillon's own settings; lines below this one override them.\ninclude '{INCLUDED}'\n"

_GIB = 1 << 30
_LARGE_MACHINE = 4 * _GIB

_FIXED = {
    # Durability is the promise of the send ledger: never traded for speed.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "100",
    "max_wal_size": "2GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "jit": "off",
    # A forgotten transaction holds back the outbox's horizon and vacuum.
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "password_encryption": "scram-sha-256",
    # A full file gives way to a new one; `prune_logs` keeps the newest few.
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%Y%m%d-%H%M%S.log",
    "log_rotation_size": "10MB",
    "log_rotation_age": "0",
    "log_file_mode": "0600",
    "log_checkpoints": "off",
    # DETAIL lines quote whole rows, which hold personal data.
    "log_error_verbosity": "terse",
}


def server_settings(binaries: Binaries) -> str:
    """The text of `carillon.conf` for these binaries on this machine."""
    lz4 = _has_lz4(binaries)
    memory = psutil.virtual_memory().total
    settings = _FIXED | {
        "shared_buffers": "256MB" if memory >= _LARGE_MACHINE else "128MB",
        "effective_cache_size": f"{memory // 2 >> 20}MB",
        "wal_compression": "lz4" if lz4 else "on",
        "default_toast_compression": "lz4" if lz4 else "pglz",
    }
    if sys.platform == "linux":
        # After a crash: one sync of the file system instead of opening every file of the cluster.
        settings["recovery_init_sync_method"] = "syncfs"
    lines = [f"{name} = '{value}'" for name, value in settings.items()]
    return "\n".join(["# Written by Carillon at each start: changes here are lost.", *lines, ""])


def _has_lz4(binaries: Binaries) -> bool:
    program = binaries.program("pg_config")
    if not program.is_file():
        return False
    answer = subprocess.run(  # noqa: S603 - a path we built
        [program, "--configure"], capture_output=True, text=True, check=False, timeout=30
    )
    return "--with-lz4" in answer.stdout
