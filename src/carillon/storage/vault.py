"""The vault: secrets of accounts sealed for storage, and keyed hashes.

Envelope encryption: every secret is encrypted with a data key of its own, which is encrypted ("wrapped")
with the vault's key. Both layers are AES-256-GCM and bound to tenant, account and version, so a sealed secret
that is copied to another row or passed off as another version does not open. A new vault key means wrapping
the data keys anew, not touching the secrets.

What is stored: `1 | key id (8) | nonce (12) | wrapped data key (48) | nonce (12) | ciphertext and tag`.
"""

import base64
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from carillon.kernel.errors import CarillonError, SetupError

_FORMAT = 1
_KEY = 32
_KEY_ID = 8
_LAYER_WRAP = b"carillon/wrap/1"
_LAYER_SECRET = b"carillon/secret/1"
_NONCE = 12
_TAG = 16
_WRAPPED = _KEY + _TAG
_HEADER = 1 + _KEY_ID
_SHORTEST = _HEADER + _NONCE + _WRAPPED + _NONCE + _TAG


class SecretUnreadable(CarillonError):
    """A stored secret cannot be read."""

    code = "secret_unreadable"
    status = 500


@dataclass(frozen=True, slots=True)
class _Place:
    """What a sealed secret is bound to; it is authenticated, not stored."""

    tenant_id: UUID
    account_id: UUID
    version: int

    def bind(self, layer: bytes) -> bytes:
        """The additional authenticated data of one layer, so that no layer passes for the other."""
        return layer + self.tenant_id.bytes + self.account_id.bytes + self.version.to_bytes(8, "big")


class Vault:
    """Seals and opens secrets under one key-encryption key (KEK)."""

    __slots__ = ("_hash_keys", "_hash_root", "_key_id", "_wrapping")

    def __init__(self, kek: bytes, *, hash_root: bytes | None = None) -> None:
        """Open the vault.

        Args:
            kek: 32 random bytes. Losing them loses every secret.
            hash_root: 32 random bytes for `keyed_hash`; the KEK if left out. Hashes cannot be made anew
                without their values, so a later KEK goes with the hash root of the first.

        Raises:
            SetupError: A key has another length.
        """
        self._hash_root = kek if hash_root is None else hash_root
        if len(kek) != _KEY or len(self._hash_root) != _KEY:
            raise SetupError(f"The vault's key must have {_KEY} bytes.")
        self._wrapping = AESGCM(_derive(kek, b"wrapping"))
        self._key_id = _derive(kek, b"key id")[:_KEY_ID]
        self._hash_keys: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return f"Vault(key_id={self.key_id})"

    def __reduce__(self) -> str:
        raise TypeError("a vault does not leave its process")

    @classmethod
    def load(cls, *, key: str | None = None, key_file: Path | None = None) -> "Vault":
        """The vault of this installation.

        Args:
            key: The value of CARILLON_VAULT_KEY: base64 of 32 bytes (the KEK) or 64 (with the hash root).
            key_file: Used without `key`: a file of the same form; made, with mode 0600, if it does not exist.

        Raises:
            SetupError: Neither is given, or the key is not of that form.
        """
        if key:
            return cls._parse(key, "CARILLON_VAULT_KEY")
        if key_file is None:
            raise SetupError("The vault has no key: set CARILLON_VAULT_KEY or name a key file.")
        try:
            text = key_file.read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            _create_key_file(key_file)
            text = key_file.read_text(encoding="ascii")
        return cls._parse(text, str(key_file))

    @classmethod
    def _parse(cls, text: str, place: str) -> "Vault":
        try:
            material = base64.b64decode(text.strip(), validate=True)
        except ValueError:  # not base64, or not even ASCII
            material = b""
        if len(material) not in (_KEY, 2 * _KEY):
            # No cause and no value: both would show the key.
            raise SetupError("The vault's key must be base64 of 32 or 64 bytes.", place=place)
        return cls(material[:_KEY], hash_root=material[_KEY:] or None)

    @property
    def key_id(self) -> str:
        """Which key this is, in hexadecimal; it tells nothing about the key."""
        return self._key_id.hex()

    def seal(self, secret: bytes, *, tenant_id: UUID, account_id: UUID, version: int) -> bytes:
        """Encrypt a secret for one place.

        Args:
            secret: Any number of bytes.
            tenant_id: Whose it is.
            account_id: The account it opens.
            version: The number of this secret among those of the account, 0 or more.

        Returns:
            97 bytes more than the secret; different at each call.
        """
        place = _Place(tenant_id, account_id, version)
        data_key = secrets.token_bytes(_KEY)
        nonce = secrets.token_bytes(_NONCE)
        ciphertext = AESGCM(data_key).encrypt(nonce, secret, place.bind(_LAYER_SECRET))
        return self._wrap(data_key, place) + nonce + ciphertext

    def open(self, sealed: bytes, *, tenant_id: UUID, account_id: UUID, version: int) -> bytes:
        """Decrypt a secret that was sealed for the same place.

        Raises:
            SecretUnreadable: It was changed, sealed for another place, or sealed with another key.
        """
        place = _Place(tenant_id, account_id, version)
        data_key, rest = self._unwrap(sealed, place)
        try:
            return AESGCM(data_key).decrypt(rest[:_NONCE], rest[_NONCE:], place.bind(_LAYER_SECRET))
        except InvalidTag:
            raise SecretUnreadable from None

    def rewrap(self, sealed: bytes, new: "Vault", *, tenant_id: UUID, account_id: UUID, version: int) -> bytes:
        """Put a sealed secret under another vault's key, without decrypting the secret itself.

        Raises:
            SecretUnreadable: As for `open`.
        """
        place = _Place(tenant_id, account_id, version)
        data_key, rest = self._unwrap(sealed, place)
        return new._wrap(data_key, place) + rest  # noqa: SLF001 - the same class

    def holds_key_of(self, sealed: bytes) -> bool:
        """Whether a secret was sealed with this vault's key: tells what is left to rewrap."""
        return sealed[:_HEADER] == self._header()

    def keyed_hash(self, purpose: str, value: bytes) -> bytes:
        """HMAC-SHA256 of a value under a key of its own for each purpose: 32 bytes, always the same.

        For API keys, suppressed addresses and message keys, which must be found but not read. Compare results
        with `hmac.compare_digest`, or let the database look them up.

        Args:
            purpose: A constant of the program, e.g. `"api key"`: its key is kept, so never one made of data.
            value: What to hash.
        """
        key = self._hash_keys.get(purpose)
        if key is None:
            key = self._hash_keys[purpose] = _derive(self._hash_root, b"hash " + purpose.encode())
        return hmac.digest(key, value, "sha256")

    def _header(self) -> bytes:
        return bytes([_FORMAT]) + self._key_id

    def _wrap(self, data_key: bytes, place: _Place) -> bytes:
        nonce = secrets.token_bytes(_NONCE)
        bound = place.bind(_LAYER_WRAP + self._header())
        return self._header() + nonce + self._wrapping.encrypt(nonce, data_key, bound)

    def _unwrap(self, sealed: bytes, place: _Place) -> tuple[bytes, bytes]:
        """The data key, and what follows it."""
        if len(sealed) < _SHORTEST or sealed[0] != _FORMAT:
            raise SecretUnreadable("A stored secret has an unknown form.")
        if not self.holds_key_of(sealed):
            raise SecretUnreadable(
                f"A stored secret needs vault key {sealed[1:_HEADER].hex()}; this vault has {self.key_id}."
            )
        start, end = _HEADER + _NONCE, _HEADER + _NONCE + _WRAPPED
        bound = place.bind(_LAYER_WRAP + self._header())
        try:
            return self._wrapping.decrypt(sealed[_HEADER:start], sealed[start:end], bound), sealed[end:]
        except InvalidTag:
            raise SecretUnreadable from None


def new_key(*, hash_root_of: Vault | None = None) -> str:
    """A new vault key in the form `Vault.load` takes.

    Args:
        hash_root_of: The vault it follows, whose hashes must stay valid; none for a first key.
    """
    root = hash_root_of._hash_root if hash_root_of else b""  # noqa: SLF001 - the same module
    return base64.b64encode(secrets.token_bytes(_KEY) + root).decode("ascii")


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_KEY, salt=None, info=b"carillon/vault/1/" + purpose).derive(key)


def _create_key_file(path: Path) -> None:
    """Make the file whole and durable, or leave alone the one that another process made meanwhile."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(new_key() + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, fails if the name is taken: the first key wins.
        os.link(fresh, path)
    except FileExistsError:
        return
    finally:
        fresh.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
