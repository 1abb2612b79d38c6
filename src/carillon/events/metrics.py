"""What the spine counts."""

from carillon.ops.counting import Counter, Gauge

APPENDED = Counter("carillon_events_appended", "Events appended by this process")
HANDLED = Counter("carillon_events_handled", "Events handed to a consumer and committed", ["consumer"])
FAILED = Counter("carillon_events_failed", "Handler calls that failed", ["consumer"])
DEAD_LETTERS = Counter("carillon_events_dead_letters", "Events given up", ["consumer"])
LAG = Gauge(
    "carillon_events_lag_seconds",
    "Age of the event a consumer handled last",
    ["consumer"],
    multiprocess_mode="livemostrecent",
)
