"""What the job runner counts."""

from carillon.ops.counting import Counter, Gauge, Histogram

RUN = Counter("carillon_jobs_run", "Jobs that ended well", ["job"])
FAILED = Counter("carillon_jobs_failed", "Attempts that failed", ["job"])
GIVEN_UP = Counter("carillon_jobs_given_up", "Jobs that failed for good", ["job"])
INTERRUPTED = Counter("carillon_jobs_interrupted", "Jobs put back by a stop or a lost database", ["job"])
RUNNING = Gauge("carillon_jobs_running", "Jobs running in this process", ["job"], multiprocess_mode="livesum")
SECONDS = Histogram("carillon_jobs_seconds", "How long attempts took", ["job"], buckets=(0.1, 1, 10, 60, 600, 3600))
