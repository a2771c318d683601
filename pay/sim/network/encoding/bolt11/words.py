"""The 5-bit words that a BOLT 11 invoice is made of, and the signature over them.

An invoice is a bech32 string (BIP 173): after the human readable part every character is one word of five
bits. Bytes, numbers and tagged fields are packed into such words, most significant bit first. The signature
covers the human readable part and all words before it, padded to whole bytes with zero bits and hashed; it
carries a recovery id, so that the key need not be named.

pyln-proto does the bech32, libsecp256k1 (by coincurve) the signatures: deterministic (RFC 6979) and low-S.
"""

from __future__ import annotations

from hashlib import sha256

from coincurve import PrivateKey, PublicKey
from coincurve.ecdsa import cdata_to_der, deserialize_recoverable, recover, recoverable_convert
from pyln.proto.bech32 import CHARSET, convertbits

SIGNATURE_WORDS = 104
"""64 bytes R and S, one byte recovery id: 520 bits."""

_MAX_FIELD_WORDS = 1023
"""The length of a tagged field is written in two words (BOLT 11)."""


def words_of_bytes(data: bytes) -> bytes:
    """Bytes as words, the last one padded with zero bits."""
    return bytes(convertbits(data, 8, 5))


def bytes_of_words(words: bytes) -> bytes:
    """Words as whole bytes. Raises ValueError if what is left over is a whole word or not zero."""
    data = convertbits(words, 5, 8, pad=False)
    if data is None:
        raise ValueError("non-zero trailing bits")
    return bytes(data)


def words_of_uint(value: int, n_words: int | None = None) -> bytes:
    """A number in `n_words` words, or in as few as possible (zero takes one)."""
    n = n_words or max(1, -(-value.bit_length() // 5))
    if value < 0 or value >> (5 * n):
        raise ValueError(f"{value} does not fit into {n} words")
    return bytes((value >> (5 * k)) & 31 for k in reversed(range(n)))


def uint_of_words(words: bytes, *, minimal: bool = True) -> int:
    """The number that the words hold, of at most 64 bits.

    BOLT 11: a reader SHOULD treat the invoice as invalid if `c`, `x` or `9` has a non-minimal data_length
    (i.e. begins with 0 field elements).

    Raises
    ------
    ValueError
        If it is longer, or begins with a zero word and should not.
    """
    if 5 * len(words) > 64:
        raise ValueError("integer too large")
    if minimal and len(words) > 1 and words[0] == 0:
        raise ValueError("not a minimal value")
    return uint_of(words)


def uint_of(words: bytes) -> int:
    """The number that the words hold, of any size."""
    value = 0
    for word in words:
        value = value << 5 | word
    return value


def tagged(letter: str, words: bytes) -> bytes:
    """A tagged field: type, length in two words, data (BOLT 11). Raises ValueError if it is too long."""
    if len(words) > _MAX_FIELD_WORDS:
        raise ValueError(f"{letter}: {len(words)} words do not fit into one field, {_MAX_FIELD_WORDS} do")
    return bytes([CHARSET.index(letter)]) + words_of_uint(len(words), 2) + words


def signed_hash(hrp: str, words: bytes) -> bytes:
    """What is signed: SHA256 of the human readable part and the words, padded to bytes with zero bits."""
    return sha256(hrp.encode() + bytes(convertbits(words, 5, 8, pad=True))).digest()


def sign(hrp: str, words: bytes, secret: bytes) -> bytes:
    """The 104 words of the signature by `secret` (32 bytes)."""
    return words_of_bytes(PrivateKey(secret).sign_recoverable(signed_hash(hrp, words), hasher=None))


def verify(hash_: bytes, signature: bytes, payee: bytes | None) -> tuple[bytes, bytes]:
    """Who signed, and the signature in DER.

    BOLT 11: if a valid `n` field is provided, a reader MUST use it to validate the signature instead of
    performing public-key recovery. Validation refuses a high S, recovery does not.

    Parameters
    ----------
    hash_
        32 bytes, of `signed_hash`.
    signature
        65 bytes: R, S, recovery id.
    payee
        The key that the invoice names, if it does.

    Raises
    ------
    ValueError
        If the signature is none, or not by `payee`.
    """
    if signature[64] > 3:
        raise ValueError(f"invalid recovery ID: {signature[64]}")
    try:
        recoverable = deserialize_recoverable(signature)
    except ValueError:
        raise ValueError("signature invalid") from None
    der = bytes(cdata_to_der(recoverable_convert(recoverable)))
    if payee is not None:
        if not PublicKey(payee).verify(der, hash_, hasher=None):
            raise ValueError("invalid signature")
        return payee, der
    try:
        return PublicKey(recover(hash_, recoverable, hasher=None)).format(), der
    except ValueError:
        raise ValueError("signature recovery failed") from None


def public_key_of(secret: bytes) -> bytes:
    """The compressed public key (33 bytes) of a secret (32 bytes)."""
    return bytes(PrivateKey(secret).public_key.format())


def is_public_key(data: bytes) -> bool:
    """Whether these 33 bytes are a point of the curve."""
    try:
        PublicKey(data)
    except ValueError:
        return False
    return True
