"""What the storage layer can complain about."""

from carillon.kernel.errors import SetupError, Unavailable


class DatabaseUnreachable(Unavailable):
    """The database does not answer."""

    code = "database_unreachable"


class Contention(Unavailable):
    """Two changes met on the same rows and one had to give way; try again."""

    code = "contention"


class UnsafeRole(SetupError):
    """The database role could see other tenants' rows."""

    code = "unsafe_database_role"


class SchemaOutdated(SetupError):
    """The database has another schema version than this program: run `carillon migrate`."""

    code = "schema_outdated"
