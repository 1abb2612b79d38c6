"""Time-based codes: RFC 6238's own vectors, the window, and no replay."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from carillon.identity.auth import totp
from carillon.kernel.ids import uuid7
from carillon.storage.vault import Vault

SECRET = base64.b32encode(b"12345678901234567890").decode()
VAULT = Vault(b"k" * 32)


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(
    ("seconds", "code"),
    # RFC 6238, appendix B, the last six of its eight digits.
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_the_vectors_of_the_standard(seconds: int, code: str):
    assert totp.matching_step(SECRET, code, at(seconds), None) == seconds // 30


def test_one_step_of_drift_is_allowed_and_no_more():
    step = 1111111109 // 30
    for moved, expected in [(-30, step), (0, step), (30, step), (-60, None), (60, None)]:
        assert totp.matching_step(SECRET, "081804", at(1111111109 + moved), None) == expected


def test_a_step_works_once():
    step = totp.matching_step(SECRET, "287082", at(59), None)
    assert step == 1
    assert totp.matching_step(SECRET, "287082", at(59), step) is None
    assert totp.matching_step(SECRET, "287082", at(75), step) is None


def test_an_earlier_step_than_the_last_does_not_work():
    assert totp.matching_step(SECRET, "287082", at(59), 2) is None


@pytest.mark.parametrize("code", ["", "287 082", " 287082 "])
def test_spaces_are_forgiven(code: str):
    assert totp.matching_step(SECRET, code, at(59), None) == (1 if code else None)


@pytest.mark.parametrize("code", ["28708", "2870822", "28708a", "٢٨٧٠٨٢", "-87082"])
def test_anything_else_is_no_code(code: str):
    assert totp.matching_step(SECRET, code, at(59), None) is None


def test_secrets_differ_and_have_160_bits():
    secrets = {totp.new_secret() for _ in range(20)}
    assert len(secrets) == 20
    assert all(len(base64.b32decode(secret)) == 20 for secret in secrets)


def test_the_uri_names_product_and_person():
    uri = totp.enrolment_uri(SECRET, "maria@example.org")
    assert uri == f"otpauth://totp/Carillon:maria%40example.org?secret={SECRET}&issuer=Carillon"


def test_recovery_codes_are_ten_and_read_leniently():
    codes = totp.new_recovery_codes()
    user = uuid7()
    hashes = {totp.recovery_hash(VAULT, user, code) for code in codes}
    assert len(codes) == len(hashes) == 10
    sloppy = f" {codes[0].upper().replace('-', ' ')} "
    assert totp.recovery_hash(VAULT, user, sloppy) in hashes
    assert totp.recovery_hash(VAULT, uuid7(), codes[0]) not in hashes
    assert totp.recovery_hash(VAULT, user, "287082") is None


def test_time_moves_the_code_on():
    start = datetime(2026, 11, 1, tzinfo=UTC)
    steps = [totp.matching_step(SECRET, "287082", start + timedelta(days=day), None) for day in range(5)]
    assert steps == [None] * 5
