"""Why a file as a whole cannot be read; a fault of one row is a `RowFault`, not an exception.

UnreadableFile
├── EmptyFile          nothing in it
├── FileTooLarge       more bytes than allowed
├── UnknownFormat      not one of the kinds we read
├── EncryptedFile      protected by a password
├── ZipBomb            would unpack to more than allowed
├── TruncatedFile      half-written: the end is missing
├── BrokenFile         damaged in the middle
├── NoHeader           the columns have no names
└── TooManyColumns     wider than allowed
"""

from carillon.kernel.errors import Invalid


class UnreadableFile(Invalid):
    """The file cannot be read."""

    code = "unreadable_file"


class EmptyFile(UnreadableFile):
    """The file is empty."""

    code = "empty_file"


class FileTooLarge(UnreadableFile):
    """The file is larger than allowed; split it."""

    code = "file_too_large"


class UnknownFormat(UnreadableFile):
    """This is not a CSV, XLSX or vCard file, nor a Telegram Desktop export."""

    code = "unknown_format"


class EncryptedFile(UnreadableFile):
    """The file is protected by a password; save it without one."""

    code = "encrypted_file"


class ZipBomb(UnreadableFile):
    """The file would unpack to far more than its size; it is refused."""

    code = "zip_bomb"


class TruncatedFile(UnreadableFile):
    """The end of the file is missing; it was probably not copied completely."""

    code = "truncated_file"


class BrokenFile(UnreadableFile):
    """The file is damaged."""

    code = "broken_file"


class NoHeader(UnreadableFile):
    """The first row does not name the columns; add a header row or say that there is none."""

    code = "no_header"


class TooManyColumns(UnreadableFile):
    """The file has more columns than allowed."""

    code = "too_many_columns"
