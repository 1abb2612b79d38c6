"""Kept error texts say what is wrong and nothing about anybody."""

import pytest
from sqlalchemy.exc import IntegrityError

from carillon.storage.jobs.failures import error_class, redact


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("cracked bell", "cracked bell"),
        ("no bell for ada@example.org", "no bell for …@…"),
        ("call +49 172 1234567 now", "call +49…67 now"),
        ("call 491721234567 now", "call … now"),
        ("Key (email)=(ada@example.org) already exists", "Key (email)=(…) already exists"),
        ("bad value 'tower seven' here", "bad value '…' here"),
        (
            "contact 01a209eb-6b5b-722c-8e6a-4912b125f10f is gone",
            "contact 01a209eb-6b5b-722c-8e6a-4912b125f10f is gone",
        ),
        ("first\nsecond", "first"),
        ("", ""),
    ],
)
def test_what_is_kept(message: str, kept: str) -> None:
    assert redact(ValueError(message)) == kept


def test_it_is_never_long() -> None:
    assert len(redact(ValueError("bell " * 1000))) == 300


def test_statements_and_parameters_stay_out() -> None:
    error = IntegrityError("INSERT INTO t VALUES (:a)", {"a": "secret"}, ValueError("duplicate"))
    assert (error_class(error), redact(error)) == ("ValueError", "duplicate")
