"""The door to conversations: what goes on between our accounts and people, and who takes care of it.

Does: opens conversations for what comes in, lists, assigns, snoozes and resolves them, keeps notes, drafts and canned
replies. Must not: send by itself (a reply is accepted by the send ledger, which decides), or keep what was said
(messages are the ledger's; only the beginning of the last one is shown here).
"""

from .arrivals import received, sent
from .bulk import act_on_many, tidy, undo, wake
from .canned import create_canned, edit_canned, get_canned, list_canned, remove_canned
from .drafts import get_draft, save_draft
from .moving import merge_people, unmerge_people
from .notes import add_note, edit_note, list_notes, remove_note
from .people import ConversationData
from .service import act, activity, count, get, list_conversations, reply, start, thread
from .tallies import fold

__all__ = [
    "ConversationData",
    "act",
    "act_on_many",
    "activity",
    "add_note",
    "count",
    "create_canned",
    "edit_canned",
    "edit_note",
    "fold",
    "get",
    "get_canned",
    "get_draft",
    "list_canned",
    "list_conversations",
    "list_notes",
    "merge_people",
    "received",
    "remove_canned",
    "remove_note",
    "reply",
    "save_draft",
    "sent",
    "start",
    "thread",
    "tidy",
    "undo",
    "unmerge_people",
    "wake",
]
