"""Readers of contact files: the only door is `open_reader`.

They stream rows of CSV and its kin, XLSX, vCard and Telegram Desktop exports in bounded memory and can resume at a
stored `Position`. They must not judge values, map columns, or touch a database.
"""

from .contract import Batch, Dialect, FileKind, Position, Reader, ReaderLimits, RowFault, SourceRow
from .detect import open_reader
from .errors import FileTooLarge, UnreadableFile

__all__ = [
    "Batch",
    "Dialect",
    "FileKind",
    "FileTooLarge",
    "Position",
    "Reader",
    "ReaderLimits",
    "RowFault",
    "SourceRow",
    "UnreadableFile",
    "open_reader",
]
