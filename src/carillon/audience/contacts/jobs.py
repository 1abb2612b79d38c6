"""Background work of contacts."""

from carillon.storage.jobs import Job, Timed

from . import api

# An import goes on where it stopped, so many tries cost nothing; a try may take long.
JOBS = (
    Job("import.run", api.run_import, timeout=6 * 3600.0, attempts=20),
    Job("import.check", api.run_check, timeout=3600.0),
    Job("export.run", api.run_export, timeout=3600.0),
)

TIMED = (Timed("contacts.tidy", "17 3 * * *", api.tidy),)
