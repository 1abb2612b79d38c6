"""The door to the send ledger: the only way out to people.

Does: accepts direct messages, plans campaigns, opens and closes their gates, reads the ledger. Whatever is accepted
here survives kill -9 and is sent effectively once, after consent, opt-out, quiet hours, caps and limits have been
checked again just before the wire (docs/reference/delivery.md).

Must not: be bypassed. Nothing else may call a connector's `send`.
"""

from .contracts import DIRECT_LANE
from .explaining import Explanation, Step, explain
from .families import families
from .figures import read as read_figures
from .holding import follow as follow_account
from .holding import release_restored, sweep
from .inbound import accept as accept_updates
from .lanes import close_lane, open_lane, pause_lane
from .leases import retire_process
from .outgoing import accept, cancel, resend, wake
from .people import MessageData, forget_calls
from .planner import plan_slice, review, write_contents
from .reading import count_senders, get, get_inbound, last_campaigns, may_go, progress, search, thread
from .stuck import Stuck
from .stuck import find as find_stuck
from .telling import Language, moment, tell
from .webhooks import consumer as webhook_consumer
from .webhooks import router as webhook_router

__all__ = [
    "DIRECT_LANE",
    "Explanation",
    "Language",
    "MessageData",
    "Step",
    "Stuck",
    "accept",
    "accept_updates",
    "cancel",
    "close_lane",
    "count_senders",
    "explain",
    "families",
    "find_stuck",
    "follow_account",
    "forget_calls",
    "get",
    "get_inbound",
    "last_campaigns",
    "may_go",
    "moment",
    "open_lane",
    "pause_lane",
    "plan_slice",
    "progress",
    "read_figures",
    "release_restored",
    "resend",
    "retire_process",
    "review",
    "search",
    "sweep",
    "tell",
    "thread",
    "wake",
    "webhook_consumer",
    "webhook_router",
    "write_contents",
]
