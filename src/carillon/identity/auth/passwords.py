"""Passwords: which are refused, and how the others are hashed (argon2id, RFC 9106).

The rules follow NIST SP 800-63B: length counts, composition rules do not; obvious ones are refused.
"""

import asyncio
import re
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from .errors import PasswordTooWeak, SignInBusy

SHORTEST: Final = 12
LONGEST: Final = 200

T = TypeVar("T")

# RFC 9106, second recommended option: 64 MiB, 3 passes, 4 lanes; about 0.1 s.
_hasher = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=4)
# Each hash takes 64 MiB and all it can get of the processor: two at once, and a bounded queue before them.
_MOST_WAITING = 32
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
_waiting = 0

# The hash of a forgotten random text, made with the parameters above: unknown addresses cost the same time.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$bCgiHEu8Gfv0aJLDq7RXKg$yKt0x1HybW79ZzdcgG4efkhDKVCFysYZOcFFdIWC0mI"

_COMMON = frozenset(
    {"password", "passwort", "passw0rd", "qwerty", "qwertz", "azerty", "qwertyuiop", "letmein", "welcome", "iloveyou"}
    | {"admin", "administrator", "carillon", "monkey", "dragon", "sunshine", "princess", "football", "baseball"}
    | {"superman", "batman", "trustno", "changeme", "default", "secret", "master", "login", "abc", "test", "woaini"}
    | {"contraseña", "motdepasse", "parola", "senha", "пароль", "mima", "密码"}
)
_RUNS = ("abcdefghijklmnopqrstuvwxyz" * 2, "0123456789" * 8, "qwertyuiopasdfghjklzxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn")
_FEWEST_LETTERS = 5
_SHORTEST_PART = 4
_REST_WITHOUT_PART = 8


def check_password(password: str, *, email: str, name: str = "") -> None:
    """Refuse a password that is too short, or that somebody who knows the person would try.

    Raises:
        PasswordTooWeak: `reason` says why.
    """
    plain = _normal(password)
    if len(plain) < SHORTEST:
        raise PasswordTooWeak(f"A password has at least {SHORTEST} characters.", place="password", reason="too_short")
    if len(plain) > LONGEST:
        raise PasswordTooWeak(f"A password has at most {LONGEST} characters.", place="password", reason="too_long")
    folded = plain.casefold()
    if len(set(folded)) < _FEWEST_LETTERS or any(folded in run or folded in run[::-1] for run in _RUNS):
        raise PasswordTooWeak("The password is a simple pattern.", place="password", reason="pattern")
    # "Password2024!" is the word and what people put around it.
    core = re.sub(r"[\d\W_]+", "", folded)
    if core in _COMMON or _is_repeated(core):
        raise PasswordTooWeak("The password is one of the most common.", place="password", reason="common")
    parts = [part for part in re.split(r"[\W_]+", f"{email} {name}".casefold()) if len(part) >= _SHORTEST_PART]
    if any(part in folded and len(folded) - len(part) < _REST_WITHOUT_PART for part in parts):
        raise PasswordTooWeak("The password holds your name or address.", place="password", reason="personal")


def check_changed(old: str, new: str) -> None:
    """Refuse a new password that is the old one.

    Raises:
        PasswordTooWeak: It is the same.
    """
    if _normal(old) == _normal(new):
        raise PasswordTooWeak("That is the present password.", place="password", reason="same")


def _is_repeated(core: str) -> bool:
    return any(core == word * (len(core) // len(word)) for word in _COMMON if core and len(core) % len(word) == 0)


async def hash_password(password: str) -> str:
    """The hash to store, made in a thread.

    Raises:
        SignInBusy: Too many are waiting.
    """
    return await _run(lambda: _hasher.hash(_normal(password)))


async def verify_password(password: str, stored: str | None) -> bool:
    """Whether the password is right; takes the same time when nothing is stored.

    Raises:
        SignInBusy: Too many are waiting.
    """
    right = await _run(lambda: _matches(stored or _NOBODY, _normal(password)))
    return right and stored is not None


def needs_rehash(stored: str) -> bool:
    """Whether it was made with other parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def random_password() -> str:
    """Twenty letters and digits in groups of five, about 100 bits, without look-alikes."""
    alphabet = "abcdefghijkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(5)) for _ in range(4))


def _normal(password: str) -> str:
    # The same keys on another keyboard or system may compose letters differently (NIST SP 800-63B, 5.1.1.2).
    return unicodedata.normalize("NFKC", password)


def _matches(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


async def _run(work: Callable[[], T]) -> T:
    global _waiting  # noqa: PLW0603 - one queue for the whole process
    if _waiting >= _MOST_WAITING:
        raise SignInBusy
    _waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, work)
    finally:
        _waiting -= 1
