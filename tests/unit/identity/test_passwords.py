"""Which passwords are refused, and that hashing neither blocks nor tells."""

import asyncio

import pytest

from carillon.identity.auth import passwords
from carillon.identity.auth.errors import PasswordTooWeak, SignInBusy

GOOD = "correct horse battery"
EMAIL = "maria.schmidt@example.org"


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "too_short"),
        ("elevenchars", "too_short"),
        ("ﬀﬀﬀﬀﬀ", "too_short"),
        ("x" * 201, "too_long"),
        ("aaaaaaaaaaaaaa", "pattern"),
        ("ababababababab", "pattern"),
        ("abcdefghijklmnop", "pattern"),
        ("ponmlkjihgfedcba", "pattern"),
        ("12345678901234", "pattern"),
        ("qwertyuiopasdf", "pattern"),
        ("Password2024!!", "common"),
        ("passwordpassword", "common"),
        ("!!Welcome-12345", "common"),
        ("schmidt-12-34", "personal"),
        ("MARIA...x1y2", "personal"),
    ],
)
def test_weak_passwords_are_refused(password: str, reason: str):
    with pytest.raises(PasswordTooWeak) as caught:
        passwords.check_password(password, email=EMAIL)
    assert caught.value.data["reason"] == reason


@pytest.mark.parametrize(
    "password",
    [GOOD, "twelve-chars", "maria went to the sea in 1999", "我的密码是一句很长的话呀"],
)
def test_long_passwords_are_taken_whatever_they_are_made_of(password: str):
    passwords.check_password(password, email=EMAIL, name="Maria Schmidt")


def test_the_name_counts_as_personal():
    with pytest.raises(PasswordTooWeak):
        passwords.check_password("Featherston3!", email="x@example.org", name="Ann Featherston")


async def test_a_hash_verifies_only_its_password():
    stored = await passwords.hash_password(GOOD)
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await passwords.verify_password(GOOD, stored)
    assert not await passwords.verify_password(GOOD + " ", stored)
    assert not await passwords.verify_password(GOOD, None)
    assert not await passwords.verify_password(GOOD, "$argon2id$broken")
    assert GOOD not in stored


async def test_letters_may_be_composed_in_another_way():
    stored = await passwords.hash_password("Za\u0308hne putzen 7")
    assert await passwords.verify_password("Z\u00e4hne putzen 7", stored)


def test_older_parameters_ask_for_a_new_hash():
    older = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$iKbrZkqgYLmxBpYFe6ZlsJ6FZBx9q1Wq7JZXJMKk6rA"
    assert passwords.needs_rehash(older)


def test_the_stand_in_for_unknown_people_costs_the_same():
    assert not passwords.needs_rehash(passwords._NOBODY)


async def test_a_crowd_is_turned_away(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(passwords, "_MOST_WAITING", 1)
    results = await asyncio.gather(*(passwords.verify_password(GOOD, None) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [bool, SignInBusy, SignInBusy]
    assert await passwords.verify_password(GOOD, None) is False


def test_the_same_password_is_no_new_one():
    with pytest.raises(PasswordTooWeak):
        passwords.check_changed(GOOD, GOOD)
    passwords.check_changed(GOOD, GOOD + "!")


def test_random_passwords_differ_and_pass():
    made = {passwords.random_password() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        passwords.check_password(password, email="owner@carillon.local", name="Owner")
