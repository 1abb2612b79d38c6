"""The door of consents: who may be written to, and the evidence for it.

Duties: the append-only ledger and its projection on the contact, always in one transaction; opt-outs that block all
accounts of a tenant at once; suppressed addresses that outlive a person's erasure; quiet hours and the tenant's
other rules of contact; the verdict, in SQL for sets and in Python for one.

It must not send anything (the caller sends the one confirmation of an opt-out), must not decide what counts as an
address of a person (contacts do), and grants nothing by default: without a granted, unexpired consent with proof
the answer is no.
"""

from .addresses import read_address
from .detection import confirmation, detect_opt_out
from .opt_out import erase, opt_in, opt_out, opt_out_many, suppress_addresses
from .policy import get_policy, set_policy
from .projection import counts, fold, project
from .quiet_hours import quiet_until
from .service import export, history, record, record_many, reproject
from .standing import lock_alone, lock_verdicts, look_up
from .suppression import lift, suppress, suppressed_among
from .suppression import page_of as list_suppressions
from .suppression import remove as remove_suppression
from .verdict import verdict

__all__ = [
    "confirmation",
    "counts",
    "detect_opt_out",
    "erase",
    "export",
    "fold",
    "get_policy",
    "history",
    "lift",
    "list_suppressions",
    "lock_alone",
    "lock_verdicts",
    "look_up",
    "opt_in",
    "opt_out",
    "opt_out_many",
    "project",
    "quiet_until",
    "read_address",
    "record",
    "record_many",
    "remove_suppression",
    "reproject",
    "set_policy",
    "suppress",
    "suppress_addresses",
    "suppressed_among",
    "verdict",
]
