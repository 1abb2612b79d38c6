"""What operators see of delivery."""

from prometheus_client import Counter, Gauge, Histogram

AUTHORISED = Counter("carillon_messages_authorised_total", "Messages that were allowed on the wire")
SETTLED = Counter("carillon_messages_settled_total", "Messages whose attempt was written back")
ERRORS = Counter("carillon_connector_errors_total", "What connectors raised", ["error"])
AUTHORISE_SECONDS = Histogram("carillon_authorise_seconds", "One authorise transaction")
SETTLE_SECONDS = Histogram("carillon_settle_seconds", "One settle transaction")
OWNED = Gauge("carillon_accounts_owned", "Accounts this process holds the lease of")
