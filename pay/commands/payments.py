"""Which payments a caller means, and what each is called in lists."""

from __future__ import annotations

from pay.engine.live.running import Running, Source
from pay.invoice import normalise
from pay.payment.terms import Terms

PayKey = tuple[str, int]
"""payment_hash in hex, groupid"""


def key_of(terms: Terms) -> PayKey:
    """Of a payment of this run."""
    return terms.payment_hash.hex(), terms.groupid


def means(terms: Terms, source: Source, wanted: str) -> bool:
    """Whether an invoice or a payment_hash is that of a payment."""
    return wanted.lower() == terms.payment_hash.hex() or normalise(wanted) == source.bolt11


def is_meant(running: Running, wanted: str) -> bool:
    """The same of one in work."""
    return means(running.session.terms, running.source, wanted)


def is_hash(text: str) -> bool:
    """Whether it is a payment_hash rather than an invoice."""
    return len(text) == 64 and all(c in "0123456789abcdefABCDEF" for c in text)
