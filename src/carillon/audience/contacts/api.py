"""The door of contacts: the people a tenant writes to.

Duties: contacts, their addresses, tags and custom fields; the best address per network (`contact.peers`); finding or
making whoever wrote to us; merges that can be undone; imports that survive a kill at any row; exports; handing out
and erasing everything held about a person, through what other services register.

It must not decide who may be written to (consents do, and an import never lifts an opt-out), must not send, and
puts no name or address into an event, log line or error.
"""

from .addresses import parse_address
from .bulk import list_bulk_actions, list_tags, tag_contacts, undo_bulk_action
from .definitions import all_fields, change_field, define_field, drop_field
from .details import check_details
from .exporting import export_file, get_export, run_export, start_export
from .filters import conditions, select_ids
from .importing.check import check as run_check
from .importing.options import ConsentRule, Options, make_options
from .importing.run import run as run_import
from .importing.service import (
    cancel,
    check,
    configure,
    fault_columns,
    fault_rows,
    get_import,
    list_faults,
    list_imports,
    start,
    upload,
)
from .merging import get_merge, list_merges, merge, unmerge
from .people import erase_person, export_person, register_person_data
from .readers import FileTooLarge
from .senders import resolve, resolve_many, touch_inbound
from .service import create, get, get_many, list_contacts, update
from .tidying import tidy

__all__ = [
    "ConsentRule",
    "FileTooLarge",
    "Options",
    "all_fields",
    "cancel",
    "change_field",
    "check",
    "check_details",
    "conditions",
    "configure",
    "create",
    "define_field",
    "drop_field",
    "erase_person",
    "export_file",
    "export_person",
    "fault_columns",
    "fault_rows",
    "get",
    "get_export",
    "get_import",
    "get_many",
    "get_merge",
    "list_bulk_actions",
    "list_contacts",
    "list_faults",
    "list_imports",
    "list_merges",
    "list_tags",
    "make_options",
    "merge",
    "parse_address",
    "register_person_data",
    "resolve",
    "resolve_many",
    "run_check",
    "run_export",
    "run_import",
    "select_ids",
    "start",
    "start_export",
    "tag_contacts",
    "tidy",
    "touch_inbound",
    "undo_bulk_action",
    "unmerge",
    "update",
    "upload",
]
