"""The door to campaigns.

Does: drafts, reviews, tests, starts, pauses, resumes, cancels and clones campaigns, and tells how far they are. Must
not: send: what a campaign decides becomes rows of the send ledger, and the ledger decides again about each of them.
"""

from .contracts import (
    Campaign,
    CampaignSchedule,
    CampaignState,
    CampaignVariant,
    Draft,
    Funnel,
    Guards,
    Recipient,
    ScheduleKind,
)
from .counting import count_answers, count_outcomes, count_restrictions
from .life import CANCEL_JOB, PLAN_JOB, cancel, pause, resume, start
from .planning import cancel_messages, plan
from .progress import every_recipient, funnel, recipients
from .rehearsal import review, send_test
from .service import check, clone, create, delete, get, list_campaigns, update
from .watching import tick

__all__ = [
    "CANCEL_JOB",
    "PLAN_JOB",
    "Campaign",
    "CampaignSchedule",
    "CampaignState",
    "CampaignVariant",
    "Draft",
    "Funnel",
    "Guards",
    "Recipient",
    "ScheduleKind",
    "cancel",
    "cancel_messages",
    "check",
    "clone",
    "count_answers",
    "count_outcomes",
    "count_restrictions",
    "create",
    "delete",
    "every_recipient",
    "funnel",
    "get",
    "list_campaigns",
    "pause",
    "plan",
    "recipients",
    "resume",
    "review",
    "send_test",
    "start",
    "tick",
    "update",
]
