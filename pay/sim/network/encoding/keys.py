"""Keys of simulated nodes: derived from a seed and a name, so that a world is the same every time.

They guard nothing: anybody who knows the seed knows the keys. Signatures are real (secp256k1, BOLT 7 and 11),
because what reads the world's gossip and invoices may check them.
"""

from __future__ import annotations

from hashlib import sha256

from coincurve import PrivateKey

from pay.units import NodeId


def derive(seed: int, *parts: str | bytes | int) -> bytes:
    """32 bytes that look random and depend only on `seed` and `parts`."""
    state = sha256(b"pay.sim")
    for part in (seed, *parts):
        data = part if isinstance(part, bytes) else str(part).encode()
        state.update(len(data).to_bytes(4, "big") + data)
    return state.digest()


def node_secret(seed: int, name: str | int) -> bytes:
    """The private key of the node called `name`, 32 bytes.

    All but about one in 2**128 hashes are valid private keys, so there is no second try.
    """
    return derive(seed, "node", name)


def node_id(secret: bytes) -> NodeId:
    """The public key (33 bytes, compressed) that belongs to a private one."""
    return NodeId(bytes(PrivateKey(secret).public_key.format()))


def sign(secret: bytes, digest: bytes) -> bytes:
    """A compact ECDSA signature (64 bytes, low s) of a 32-byte digest, as gossip messages carry it (BOLT 7)."""
    return bytes(PrivateKey(secret).sign_recoverable(digest, hasher=None))[:64]
