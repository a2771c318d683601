"""An invoice of d for 100,000 msat that expires an hour after NOW, and texts that are no invoice."""

from __future__ import annotations

from dataclasses import replace

from pay.invoice import Invoice, InvoiceKind
from tests.support.payments import NOW, node

US, D = node("us"), node("d")
EXPIRES = int(NOW) + 3600
INVOICE = Invoice(
    kind=InvoiceKind.BOLT11,
    invstring="lnbc1",
    payment_hash=bytes(32),
    payee=D,
    amount_msat=100_000,
    expires_at=EXPIRES,
    final_cltv=18,
    payment_secret=bytes(32),
    payment_metadata=None,
    features=0,
    description="coffee",
    description_hash=None,
    hints=(),
)
OPEN = replace(INVOICE, amount_msat=None)
"""The payer chooses the amount."""

BAD_BECH32 = "Bad bech32 string"
UNPARSABLE = "Unparsable string"
GOOD = "lnbc20u1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqhp58yjmdan79s6qqdhdzgynm4zwqd5d7x"
ADDRESS = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"

TEXTS = [
    # What it is, what `decode` says of it, what it is called in our message, what is advised.
    # What wallets show beside an invoice, or call by its name.
    ("LNURL1DP68GURN8GHJ7UM9WFMXJCM99E3K7MF0V9CXJ0M385EKVCENXC6R2C35XVUKXEFCV5MKVV34X5EKZD3EV56NYD3HXQU",
     UNPARSABLE, "LNURL", "a wallet that knows LNURL"),
    ("lnurlp://host.example/pay", UNPARSABLE, "LNURL", "a wallet that knows LNURL"),
    ("https://host.example/?lightning=LNURL1DP68", UNPARSABLE, "web address", "a wallet that knows LNURL"),
    ("bob@host.example", UNPARSABLE, "Lightning address", "from its host"),
    ("lightning:bob@host.example", UNPARSABLE, "Lightning address", "from its host"),
    (f"bitcoin:{ADDRESS}?amount=0.00002&lightning={GOOD.upper()}", UNPARSABLE, "payment link", "`lightning=`"),
    (f"BITCOIN:{ADDRESS}?amount=0.00002&lno=lno1pg", UNPARSABLE, "payment link with an offer", "`fetchinvoice`"),
    (f"bitcoin:{ADDRESS}?amount=0.00002", UNPARSABLE, "on-chain address", "`withdraw`"),
    (ADDRESS, UNPARSABLE, "on-chain address", "`withdraw`"),
    ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", UNPARSABLE, "on-chain address", "`withdraw`"),
    ("lnr1qqsdpg9ksgdwf", UNPARSABLE, "request for an invoice", "nothing is to be paid"),
    ("lno1pgx37enpv4", "invalid offer data", "this offer", "copy it again, in full"),
    ("lni1pgx37enpv4", "invalid invoice data", "BOLT 12 invoice", "copy it again, in full"),
    ("02" + "ab" * 32, UNPARSABLE, "node id", "`keysend`"),
    ("ab" * 32, UNPARSABLE, "payment hash", "the invoice itself"),
    ("clnemerg1qgsrqv", UNPARSABLE, "not an invoice", "begins with lnbc"),
    ("tea", UNPARSABLE, "not an invoice", "begins with lnbc"),
    # Of another network.
    (GOOD.replace("lnbc", "lntb"), BAD_BECH32, "another network (lntb)", "for ours"),
    (GOOD.replace("lnbc", "lnltc"), UNPARSABLE, "another network (lnltc)", "for ours"),
    # Lost or changed on the way here: the checksum is wrong.
    (GOOD[:-1], BAD_BECH32, "letters are missing or wrong", "copy the invoice again, in full"),
    (GOOD[:40], BAD_BECH32, "letters are missing or wrong", "copy the invoice again, in full"),
    ("lnbc", UNPARSABLE, "letters are missing", "copy the invoice again, in full"),
    (GOOD.replace("lnbc", "lnb"), UNPARSABLE, "begins with lnb,", "copy the invoice again, in full"),
    (f"{GOOD[:30]} {GOOD[30:]}", BAD_BECH32, "white space", "copy the invoice again, in full"),
    (f"{GOOD}?x", BAD_BECH32, "'?'", "copy the invoice again, in full"),
    # As it was made: the checksum is right.
    (GOOD, "9: unknown feature bit 50", "feature bit 50", "ask the recipient for one without it"),
    (GOOD, "must have either 'd' or 'h' field", "neither a description nor the hash", "another invoice, with one"),
    (GOOD, "Missing required payment secret (s field)", "no payment_secret", "another invoice, with one"),
    (GOOD, "Invalid amount postfix 'y'", "was made so", "ask the recipient for another invoice"),
]  # fmt: skip
