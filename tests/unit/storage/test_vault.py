"""The vault: sealing, tampering, rotation, key files and hashes."""

import base64
import pickle
import stat
from pathlib import Path
from threading import Barrier, Thread
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.kernel.errors import SetupError
from carillon.storage.vault import SecretUnreadable, Vault, new_key

KEK = bytes(range(32))
VAULT = Vault(KEK)
TENANT, ACCOUNT = UUID(int=1), UUID(int=2)
versions = st.integers(0, 2**63 - 1)


def seal(secret: bytes, vault: Vault = VAULT, version: int = 1) -> bytes:
    return vault.seal(secret, tenant_id=TENANT, account_id=ACCOUNT, version=version)


def open_(sealed: bytes, vault: Vault = VAULT, version: int = 1) -> bytes:
    return vault.open(sealed, tenant_id=TENANT, account_id=ACCOUNT, version=version)


@given(secret=st.binary(max_size=5000), tenant=st.uuids(), account=st.uuids(), version=versions)
def test_what_was_sealed_opens(secret: bytes, tenant: UUID, account: UUID, version: int) -> None:
    sealed = VAULT.seal(secret, tenant_id=tenant, account_id=account, version=version)
    assert VAULT.open(sealed, tenant_id=tenant, account_id=account, version=version) == secret
    assert len(sealed) == len(secret) + 97


@given(secret=st.binary(min_size=8, max_size=200))
def test_the_secret_does_not_show_and_no_two_seals_are_alike(secret: bytes) -> None:
    first, second = seal(secret), seal(secret)
    assert secret not in first
    assert first != second


@given(secret=st.binary(max_size=100), data=st.data())
def test_every_changed_bit_is_noticed(secret: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal(secret))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SecretUnreadable):
        open_(bytes(sealed))


@given(rubbish=st.binary(max_size=300))
def test_rubbish_does_not_open(rubbish: bytes) -> None:
    with pytest.raises(SecretUnreadable):
        open_(rubbish)


@given(length=st.integers(0, 106))
def test_a_cut_secret_does_not_open(length: int) -> None:
    with pytest.raises(SecretUnreadable):
        open_(seal(b"0123456789")[:length])


@pytest.mark.parametrize(
    "place",
    [
        {"tenant_id": uuid4(), "account_id": ACCOUNT, "version": 1},
        {"tenant_id": TENANT, "account_id": uuid4(), "version": 1},
        {"tenant_id": TENANT, "account_id": ACCOUNT, "version": 2},
        {"tenant_id": ACCOUNT, "account_id": TENANT, "version": 1},
    ],
)
def test_a_secret_does_not_open_in_another_place(place: dict[str, object]) -> None:
    with pytest.raises(SecretUnreadable):
        VAULT.open(seal(b"secret"), **place)  # type: ignore[arg-type]


def test_both_layers_are_bound_to_the_place() -> None:
    # The head of one secret, wrapped for version 2, before the body of another, encrypted for version 1.
    head, body = seal(b"secret", version=2)[:69], seal(b"secret", version=1)[69:]
    for version in (1, 2):
        with pytest.raises(SecretUnreadable):
            open_(head + body, version=version)


def test_another_key_is_named_not_shown() -> None:
    other = Vault(b"o" * 32)
    with pytest.raises(SecretUnreadable) as caught:
        open_(seal(b"secret"), other)
    assert VAULT.key_id in str(caught.value)
    assert other.key_id in str(caught.value)


def test_rewrapping_moves_a_secret_to_a_new_key_and_leaves_its_ciphertext() -> None:
    new = Vault(b"n" * 32)
    sealed = seal(b"secret")
    moved = VAULT.rewrap(sealed, new, tenant_id=TENANT, account_id=ACCOUNT, version=1)
    assert open_(moved, new) == b"secret"
    assert moved[69:] == sealed[69:]
    assert (VAULT.holds_key_of(moved), new.holds_key_of(moved)) == (False, True)
    with pytest.raises(SecretUnreadable):
        open_(moved)
    with pytest.raises(SecretUnreadable):
        VAULT.rewrap(sealed, new, tenant_id=TENANT, account_id=ACCOUNT, version=2)


@given(value=st.binary(max_size=100))
def test_hashes_are_stable_and_differ_by_purpose_and_key(value: bytes) -> None:
    hashed = VAULT.keyed_hash("api key", value)
    assert len(hashed) == 32
    assert hashed == Vault(KEK).keyed_hash("api key", value)
    assert hashed != VAULT.keyed_hash("suppression", value)
    assert hashed != Vault(b"o" * 32).keyed_hash("api key", value)
    assert hashed != VAULT.keyed_hash("api key", value + b"\0")


def test_the_hash_of_a_known_value_never_changes() -> None:
    # Stored hashes depend on it: a change here is a migration.
    assert VAULT.keyed_hash("api key", b"value").hex() == (
        "101ed79f8639de30305eda495e6c62174c1922de523a8ecc108f6abb95b27e8f"
    )


def test_a_new_key_keeps_the_hashes_of_the_old() -> None:
    first = Vault.load(key=new_key())
    second = Vault.load(key=new_key(hash_root_of=first))
    third = Vault.load(key=new_key(hash_root_of=second))
    assert len({first.key_id, second.key_id, third.key_id}) == 3
    assert first.keyed_hash("api key", b"x") == second.keyed_hash("api key", b"x") == third.keyed_hash("api key", b"x")


def test_a_key_never_shows() -> None:
    vault = Vault(KEK, hash_root=b"h" * 32)
    for text in (repr(vault), str(vault), f"{vault!r:>10}"):
        assert text.strip() == f"Vault(key_id={vault.key_id})"
    assert not hasattr(vault, "__dict__")
    with pytest.raises(TypeError):
        pickle.dumps(vault)
    with pytest.raises(SetupError) as caught:
        Vault.load(key="bm90IDMyIGJ5dGVz")
    assert "bm90" not in f"{caught.value!r} {caught.value.data} {caught.value.__cause__}"


@pytest.mark.parametrize("key", [b"", b"short", b"x" * 31, b"x" * 33])
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    with pytest.raises(SetupError):
        Vault(key)
    with pytest.raises(SetupError):
        Vault(KEK, hash_root=key)


@pytest.mark.parametrize("text", ["!", "käse", "A" * 43, base64.b64encode(b"x" * 48).decode()])
def test_a_malformed_key_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(SetupError):
        Vault.load(key=text)
    (tmp_path / "key").write_text(text, encoding="utf-8")
    with pytest.raises(SetupError) as caught:
        Vault.load(key_file=tmp_path / "key")
    assert str(tmp_path / "key") in str(caught.value)


def test_no_key_at_all_is_refused() -> None:
    with pytest.raises(SetupError):
        Vault.load(key="", key_file=None)


def test_the_given_key_wins_over_the_file(tmp_path: Path) -> None:
    vault = Vault.load(key=base64.b64encode(KEK).decode(), key_file=tmp_path / "key")
    assert vault.key_id == VAULT.key_id
    assert not (tmp_path / "key").exists()


def test_the_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "vault.key"
    first, second = Vault.load(key_file=file), Vault.load(key_file=file)
    assert first.key_id == second.key_id
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["vault.key"]


def test_of_many_first_users_one_makes_the_key(tmp_path: Path) -> None:
    barrier, seen = Barrier(8), set[str]()

    def load() -> None:
        barrier.wait()
        seen.add(Vault.load(key_file=tmp_path / "key").key_id)

    threads = [Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]
