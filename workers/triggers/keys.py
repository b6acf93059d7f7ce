"""The public key that callbacks are checked with, and the one algorithm that goes with it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

SHORTEST_RSA: Final = 2048

_HEAD: Final = "-----BEGIN "


@dataclass(frozen=True, kw_only=True, slots=True)
class CallbackKey:
    """A public key; `algorithm` (RFC 7518, RFC 8037) follows from its kind, so that no token can choose another."""

    key: RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
    algorithm: str


def pem_text(value: str) -> str:
    """Return the PEM text that a setting gives or names; a literal backslash-n in it counts as the end of a line.

    Raises ValueError when the file can't be read.
    """
    if value.lstrip().startswith(_HEAD):
        return value.replace("\\n", "\n")
    try:
        return Path(value).expanduser().read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no PEM text"
        raise ValueError(f"the file can't be read: {why}") from None


def read_key(pem: str) -> CallbackKey:
    """Read a public key; raises ValueError for anything that is no usable one, a private key included."""
    if "PRIVATE KEY-----" in pem:
        raise ValueError("it is a private key, which belongs to the service alone")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("it is no public key in PEM") from None
    if isinstance(key, RSAPublicKey) and key.key_size >= SHORTEST_RSA:
        return CallbackKey(key=key, algorithm="RS256")
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return CallbackKey(key=key, algorithm="ES256")
    if isinstance(key, Ed25519PublicKey):
        return CallbackKey(key=key, algorithm="EdDSA")
    raise ValueError("it is a public key of a kind or length that is not accepted")
