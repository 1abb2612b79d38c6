"""Cells that no spreadsheet executes, names that no browser misreads."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.gateway.downloads import content_disposition, csv_cell, csv_pieces


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        ("plain", "plain"),
        ("联系人", "联系人"),
        (5, "5"),
        (-5.25, "-5.25"),
        ("-12", "-12"),
        ("+49 170 1234567", "'+49 170 1234567"),
        ("+491701234567", "'+491701234567"),
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-1+cmd|' /C calc'!A0", "'-1+cmd|' /C calc'!A0"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("  =1", "'  =1"),
        ("\u3000＝1", "'\u3000＝1"),
        ("＝1", "'＝1"),
        ("＋1", "'＋1"),
        ("－1", "'－1"),
        ("＠A", "'＠A"),
        ("-", "'-"),
        ("a\0b", "ab"),
        ("\0=1", "'=1"),
    ],
)
def test_cells(value: object, cell: str) -> None:
    assert csv_cell(value) == cell


@given(st.text())
def test_no_cell_begins_like_a_formula(text: str) -> None:
    cell = csv_cell(text)
    begins = cell.lstrip(" \u00a0\u3000\ufeff")[:1]
    assert begins not in set("=+@＝＋－＠") or cell.startswith("'")
    assert begins != "-" or cell.lstrip("-").replace(".", "", 1).isdigit()


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.csv", "attachment; filename=\"a.csv\"; filename*=UTF-8''a.csv"),
        ("../../etc/passwd", "attachment; filename=\"_.._etc_passwd\"; filename*=UTF-8''_.._etc_passwd"),
        (
            'a"b\r\nSet-Cookie: x',
            "attachment; filename=\"a_b__Set-Cookie_ x\"; filename*=UTF-8''a_b__Set-Cookie%3A%20x",
        ),
        ("报告.csv", "attachment; filename=\"__.csv\"; filename*=UTF-8''%E6%8A%A5%E5%91%8A.csv"),
        ("...", "attachment; filename=\"download\"; filename*=UTF-8''download"),
    ],
)
def test_names(name: str, header: str) -> None:
    assert content_disposition(name) == header


async def test_pieces_make_one_file() -> None:
    async def rows() -> object:
        for number in range(1000):
            yield (number, 'quoted "x", y\nz')

    pieces = [piece async for piece in csv_pieces(rows(), ("n", "text"))]  # type: ignore[arg-type]
    assert len(pieces) > 1
    text = b"".join(pieces).decode("utf-8-sig")
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read[0] == ["n", "text"]
    assert read[-1] == ["999", 'quoted "x", y\nz']
    assert len(read) == 1001
