"""What can go wrong with the embedded PostgreSQL.

SetupError
├── NoBinaries        no usable PostgreSQL on this machine
├── NoAccount         we are root and found no way to run it unprivileged
├── NotACluster       the folder holds something else
├── PasswordLost      the cluster is there, the file with its password is not
├── VersionMismatch   the data were made by another major version
├── DiskFull          no space left
├── ClusterInUse      a server we cannot see holds the data
└── ClusterFailed     initdb or the server ended; the message holds the end of its log
Unavailable
├── DumpFailed
└── RestoreFailed
"""

from carillon.kernel.errors import SetupError, Unavailable


class NoBinaries(SetupError):
    """No usable PostgreSQL was found."""

    code = "postgres_missing"


class NoAccount(SetupError):
    """PostgreSQL refuses to run as root, and there is no other account it could use here."""

    code = "postgres_account"


class NotACluster(SetupError):
    """The folder for the database holds something that is not a PostgreSQL cluster."""

    code = "postgres_not_a_cluster"


class PasswordLost(SetupError):
    """The file with the database's superuser password is gone."""

    code = "postgres_password_lost"


class VersionMismatch(SetupError):
    """The database was made by another major version of PostgreSQL."""

    code = "postgres_version"


class DiskFull(SetupError):
    """There is no space left for the database."""

    code = "postgres_disk_full"


class ClusterInUse(SetupError):
    """A PostgreSQL server that cannot be seen from here still uses the database."""

    code = "postgres_in_use"


class ClusterFailed(SetupError):
    """PostgreSQL did not start."""

    code = "postgres_failed"


class DumpFailed(Unavailable):
    """The database could not be dumped."""

    code = "postgres_dump_failed"


class RestoreFailed(Unavailable):
    """The dump could not be restored."""

    code = "postgres_restore_failed"
