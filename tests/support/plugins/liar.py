#!/usr/bin/env python3
"""A plugin for a node under test that makes it refuse what it should forward, with whatever it wants to say.

`lie CODES [DIRECTION]` begins: each HTLC to be forwarded is failed with the next of these failure codes (hex,
around again at the end; "-" forwards it). With a direction, 0 or 1, codes with room for a channel_update bring
one of the channel that the HTLC was meant for: it asks one msat more with every lie. `honest` ends it; `lied HASH`
says how many HTLCs of a payment were refused so.

Sources: BOLT 4, "Failure Messages"; BOLT 7, "The channel_update Message".
"""

import struct
import time
from itertools import cycle

from plugin_io import answer, argument, serve

MANIFEST = {
    "dynamic": True,
    "options": [],
    "rpcmethods": [
        {"name": "lie", "usage": "codes [direction]", "description": "Refuse what is to be forwarded"},
        {"name": "honest", "usage": "", "description": "Forward again"},
        {"name": "lied", "usage": "payment_hash", "description": "How many HTLCs of it were refused"},
    ],
    "hooks": [{"name": "htlc_accepted"}],
}
HONEST = "-"
CHAIN = bytes.fromhex("06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f")
"""regtest (BOLT 0)."""
UPDATE = 0x1000
AMOUNT_FIRST = (0x100B, 0x100C)
"""amount_below_minimum and fee_insufficient: the amount comes first."""
HEIGHT_LAST = 0x400F


class Liar:
    """The codes to come, and how often it lied, by payment hash."""

    def __init__(self):
        self.codes = cycle([HONEST])
        self.direction = None
        self.lies = {}

    def request(self, method, params):
        """Answer of a request."""
        if method == "getmanifest":
            return MANIFEST
        if method == "lie":
            self.codes = cycle(argument(params, 0, "codes"))
            self.direction = argument(params, 1, "direction")
        if method == "honest":
            self.codes = cycle([HONEST])
        if method == "lied":
            return {"htlcs": self.lies.get(argument(params, 0, "payment_hash"), 0)}
        return {}

    def handle(self, message):
        """One message of lightningd."""
        if "id" not in message:
            return
        if message["method"] == "htlc_accepted":
            answer(message["id"], self.htlc(message["params"]))
            return
        answer(message["id"], self.request(message["method"], message["params"]))

    def htlc(self, params):
        """What becomes of an HTLC: what is for this node itself goes on."""
        scid = params["onion"].get("short_channel_id")
        code = HONEST if scid is None else next(self.codes)
        if code == HONEST:
            return {"result": "continue"}
        payment_hash, amount_msat = params["htlc"]["payment_hash"], params["htlc"]["amount_msat"]
        self.lies[payment_hash] = self.lies.get(payment_hash, 0) + 1
        return {"result": "fail", "failure_message": self.message(int(code, 16), amount_msat, scid).hex()}

    def message(self, code, amount_msat, scid):
        """The code and what belongs to it, of BOLT 4."""
        data = struct.pack(">H", code)
        if code == HEIGHT_LAST:
            return data + struct.pack(">QI", amount_msat, 1_000_000)
        if not code & UPDATE:
            return data
        if code in AMOUNT_FIRST:
            data += struct.pack(">Q", amount_msat)
        update = b"" if self.direction is None else self.update(scid)
        return data + struct.pack(">H", len(update)) + update

    def update(self, scid):
        """A channel_update that nobody signed, dearer each time."""
        block, transaction, output = map(int, scid.split("x"))
        number = block << 40 | transaction << 16 | output
        asked_msat, most_msat = sum(self.lies.values()), 10**9
        body = struct.pack(
            ">QIBBHQIIQ", number, int(time.time()), 1, int(self.direction), 6, 1, asked_msat, 0, most_msat
        )
        return struct.pack(">H", 258) + bytes(64) + CHAIN + body


if __name__ == "__main__":
    serve(Liar().handle)
