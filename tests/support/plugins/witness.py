#!/usr/bin/env python3
"""A plugin for the nodes under test: it writes down notifications and holds HTLCs back.

Notifications are appended, exactly as lightningd sent them, to `notifications.jsonl` in the node's directory.
`hold HASH` makes the node keep every HTLC of that payment hash until `release HASH [FAILURE] [PREIMAGE]`, which
lets them go on, or fails them with the given onion failure message (hex), or settles them in the node's place.
`refuse HASH FAILURE` fails what is kept and keeps the next as well; `held HASH` shows what is kept.
"""

import json
from pathlib import Path

from plugin_io import answer, argument, serve

TOPICS = (
    "sendpay_success", "sendpay_failure", "pay_success", "pay_failure", "pay_part_start", "pay_part_end",
    "channel_hint_update",
)  # fmt: skip
MANIFEST = {
    "dynamic": True,
    "options": [],
    "rpcmethods": [
        {"name": "hold", "usage": "payment_hash", "description": "Keep the HTLCs of this payment"},
        {"name": "release", "usage": "payment_hash [failure] [preimage]", "description": "Let them go on or end"},
        {"name": "refuse", "usage": "payment_hash failure", "description": "Fail them, and keep the next"},
        {"name": "held", "usage": "payment_hash", "description": "How many HTLCs are kept, and their onions"},
    ],
    "subscriptions": list(TOPICS),
    "hooks": [{"name": "htlc_accepted"}],
}


class Witness:
    """What is held, by payment hash: the hook's calls that wait for their answer, id and onion."""

    def __init__(self):
        self.kept = {}

    def request(self, method, params):
        """Answer of a request, or None if it has to wait."""
        if method == "getmanifest":
            return MANIFEST
        if method == "hold":
            self.kept.setdefault(argument(params, 0, "payment_hash"), [])
            return {}
        if method == "held":
            calls = self.kept.get(argument(params, 0, "payment_hash"), [])
            return {"htlcs": len(calls), "onions": [onion for _, onion in calls]}
        if method == "refuse":
            calls = self.kept[argument(params, 0, "payment_hash")]
            while calls:
                answer(calls.pop()[0], {"result": "fail", "failure_message": argument(params, 1, "failure")})
            return {}
        if method == "release":
            failure, preimage = argument(params, 1, "failure"), argument(params, 2, "preimage")
            result = {"result": "fail", "failure_message": failure} if failure else {"result": "continue"}
            result = {"result": "resolve", "payment_key": preimage} if preimage else result
            for call_id, _ in self.kept.pop(argument(params, 0, "payment_hash"), []):
                answer(call_id, result)
            return {}
        return {}

    def handle(self, message):
        """One message of lightningd."""
        if "id" not in message:
            with Path("notifications.jsonl").open("a") as file:
                file.write(json.dumps(message) + "\n")
            return
        if message["method"] == "htlc_accepted":
            kept = self.kept.get(message["params"]["htlc"]["payment_hash"])
            if kept is None:
                answer(message["id"], {"result": "continue"})
            else:
                kept.append((message["id"], message["params"]["onion"]))
            return
        answer(message["id"], self.request(message["method"], message["params"]))


if __name__ == "__main__":
    serve(Witness().handle)
