"""Background jobs on PgQueuer: enqueued in the caller's transaction, run at least once, also on a timetable."""

from .declaration import Job, RunJob, RunTimed, Timed
from .queue import enqueue
from .retention import FailedJob, FailedJobNotFound, failed_jobs, retry_failed_job
from .runner import JobRunner, Pace

__all__ = [
    "FailedJob",
    "FailedJobNotFound",
    "Job",
    "JobRunner",
    "Pace",
    "RunJob",
    "RunTimed",
    "Timed",
    "enqueue",
    "failed_jobs",
    "retry_failed_job",
]
