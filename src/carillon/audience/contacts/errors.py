"""What contacts can complain about.

CarillonError
├── NotFound   ContactNotFound · FieldNotFound · ImportNotFound · MergeNotFound · BulkActionNotFound · ExportNotFound
├── Invalid    AddressInvalid · DetailInvalid · FieldInvalid · MappingInvalid · NotConfirmed
└── Conflict   AddressTaken · FieldExists · ContactGone · MergeImpossible · AlreadyUndone · WrongImportState
"""

from carillon.kernel.errors import Conflict, Invalid, NotFound


class ContactNotFound(NotFound):
    """There is no such contact."""

    code = "contact_not_found"


class FieldNotFound(NotFound):
    """There is no such custom field."""

    code = "field_not_found"


class ImportNotFound(NotFound):
    """There is no such import."""

    code = "import_not_found"


class MergeNotFound(NotFound):
    """There is no such merge."""

    code = "merge_not_found"


class BulkActionNotFound(NotFound):
    """There is no such bulk action."""

    code = "bulk_action_not_found"


class ExportNotFound(NotFound):
    """There is no such export, or its file has expired."""

    code = "export_not_found"


class AddressInvalid(Invalid):
    """That is not an address of this kind."""

    code = "address_invalid"


class DetailInvalid(Invalid):
    """A detail of the contact is not valid."""

    code = "detail_invalid"


class FieldInvalid(Invalid):
    """The value does not fit the custom field."""

    code = "field_invalid"


class MappingInvalid(Invalid):
    """The mapping or an option does not fit the file."""

    code = "mapping_invalid"


class NotConfirmed(Invalid):
    """This cannot be undone: repeat it with the contact's id as confirmation."""

    code = "not_confirmed"


class AddressTaken(Conflict):
    """The address already belongs to another contact."""

    code = "address_taken"


class FieldExists(Conflict):
    """There is a custom field of this key already."""

    code = "field_exists"


class ContactGone(Conflict):
    """The contact was erased or merged into another."""

    code = "contact_gone"


class MergeImpossible(Conflict):
    """These contacts cannot be merged, or the merge cannot be undone now."""

    code = "merge_impossible"


class AlreadyUndone(Conflict):
    """It was undone already."""

    code = "already_undone"


class WrongImportState(Conflict):
    """The import is not in a state for this: options come first, then the check, then the start."""

    code = "wrong_import_state"
