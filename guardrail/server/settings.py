"""Say how the sidecar behaves beyond what the guard's policy says, and read its API keys."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from guardrail.errors import ConfigError

KEY_VARIABLE = "GUARDRAIL_API_KEY"
_SHORTEST_KEY = 16
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server takes.

    How many requests run and wait is the policy's ``max_running`` and ``max_queued``.

    Args:
        keys: SHA-256 digests of the API keys, see ``digests``; none lets everybody in.
        max_body: longest request body, in bytes.
        max_batch: most texts of one request, 1 to 1,024.
        read_timeout: seconds in which a body must be here; a stream must send something as often.
        retry_after: seconds after which one who was refused may ask again.

    Raises:
        ConfigError: a number is out of range.
    """

    keys: tuple[bytes, ...] = field(default=(), repr=False)
    max_body: int = 4 * _MIB
    max_batch: int = 64
    read_timeout: float = 30.0
    retry_after: int = 1

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        ranges = {"max_body": (1, 1024 * _MIB), "max_batch": (1, 1024), "retry_after": (1, 3600)}
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} = {getattr(self, name)} must be a whole number from {low} to {high}")
        if not 0 < self.read_timeout <= 3600:
            raise ConfigError(f"read_timeout = {self.read_timeout} must be over 0 and at most 3600 seconds")

    def admits(self, key: str) -> bool:
        """Tell whether ``key`` is one of the keys, in a time that does not depend on how much of it is right."""
        given = _digest(key)
        # No early end: each comparison is made.
        return sum(hmac.compare_digest(given, known) for known in self.keys) > 0


def digests(keys: Iterable[str]) -> tuple[bytes, ...]:
    """Return the digests of API keys.

    Raises:
        ConfigError: a key is shorter than 16 characters or has some that a header cannot hold; it is not named.
    """
    found = []
    for number, key in enumerate(keys, 1):
        if len(key) < _SHORTEST_KEY or not (key.isascii() and key.isprintable()) or " " in key:
            raise ConfigError(
                f"API key {number} must be {_SHORTEST_KEY} or more characters of printable ASCII without spaces; "
                "make one with: openssl rand -hex 24"
            )
        found.append(_digest(key))
    return tuple(found)


def read_keys(path: str = "") -> tuple[bytes, ...]:
    """Return the digests of the keys in a file, one a line, or else of the one in ``GUARDRAIL_API_KEY``.

    Raises:
        ConfigError: the file cannot be read or holds no key, or a key is no good.
    """
    if not path:
        return digests([os.environ[KEY_VARIABLE]] if os.environ.get(KEY_VARIABLE) else [])
    try:
        with open(path, encoding="utf-8") as file:
            keys = [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"API key file {path!r} cannot be read: {reason}") from None
    if not keys:
        raise ConfigError(f"API key file {path!r} holds no key; write one a line, or leave --api-key-file out")
    return digests(keys)


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()
