"""The door to campaigns.

Does: drafts, reviews, tests, starts, pauses, resumes, cancels and clones campaigns, and tells how far they are. Must
not: send: what a campaign decides becomes rows of the send ledger, and the ledger decides again about each of them.
"""

from .contracts import Campaign, CampaignSchedule, CampaignState, CampaignVariant, Draft, Funnel, Guards, ScheduleKind
from .planning import cancel_messages, plan
from .service import (
    CANCEL_JOB,
    PLAN_JOB,
    cancel,
    clone,
    create,
    delete,
    funnel,
    get,
    list_campaigns,
    pause,
    resume,
    review,
    send_test,
    start,
    update,
)
from .watching import count_answers, count_restrictions, tick

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
    "ScheduleKind",
    "cancel",
    "cancel_messages",
    "clone",
    "count_answers",
    "count_restrictions",
    "create",
    "delete",
    "funnel",
    "get",
    "list_campaigns",
    "pause",
    "plan",
    "resume",
    "review",
    "send_test",
    "start",
    "tick",
    "update",
]
