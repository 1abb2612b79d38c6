"""Answers that are files: streamed, with a safe name, and CSV that no spreadsheet executes."""

import csv
import io
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import quote

from starlette.responses import StreamingResponse

# What makes a spreadsheet evaluate a cell (OWASP, "CSV Injection"), in the full-width forms that some fold too.
_TRIGGERS = "=+-@\t\r\n＝＋－＠"
_NUMBER = re.compile(r"-?\d{1,15}(\.\d+)?")
_ROWS_PER_PIECE = 200
_CSV = "text/csv; charset=utf-8"
# Spreadsheets take a CSV without this mark for the local 8-bit encoding, and show Chinese as noise.
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def csv_cell(value: Any) -> str:
    """A value as a cell that no spreadsheet takes for a formula.

    Text that begins like a formula gets an apostrophe in front, phone numbers (`+49…`) included: they are text,
    and as numbers they would lose their plus. Plain negative numbers stay numbers. Leading blanks are looked
    through, because spreadsheets do so too.
    """
    if value is None:
        return ""
    text = str(value).replace("\0", "")
    if _NUMBER.fullmatch(text):
        return text
    if text[:1] in tuple(_TRIGGERS) or text.lstrip(" \u00a0\u3000\ufeff")[:1] in tuple(_TRIGGERS):
        return f"'{text}"
    return text


def content_disposition(name: str) -> str:
    """The header that makes a browser save the answer under this name (RFC 6266, RFC 5987)."""
    clean = re.sub(r"[/\\\x00-\x1f\x7f\"]", "_", name).strip(". ")[:150] or "download"
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", clean)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(clean, safe='')}"


def download(content: AsyncIterator[bytes], name: str, content_type: str) -> StreamingResponse:
    """A streamed file.

    The transaction of the request has ended when the stream runs: `content` reads a blob, or opens its own
    transactions.
    """
    return StreamingResponse(
        content, headers={"Content-Disposition": content_disposition(name), "Content-Type": content_type}
    )


def csv_download(rows: AsyncIterator[Sequence[Any]], name: str, header: Sequence[str]) -> StreamingResponse:
    """A streamed CSV file (RFC 4180, UTF-8 with a byte order mark) whose every cell went through `csv_cell`."""
    return download(csv_pieces(rows, header), name, _CSV)


async def csv_pieces(rows: AsyncIterator[Sequence[Any]], header: Sequence[str]) -> AsyncIterator[bytes]:
    """The bytes of a CSV file, some hundred rows at a time."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow([csv_cell(cell) for cell in header])
    mark, count = _BYTE_ORDER_MARK, 0
    async for row in rows:
        writer.writerow([csv_cell(cell) for cell in row])
        count += 1
        if count % _ROWS_PER_PIECE == 0:
            yield mark + buffer.getvalue().encode()
            mark = b""
            buffer.seek(0)
            buffer.truncate()
    yield mark + buffer.getvalue().encode()
