#!/usr/bin/env python3
"""A plugin for the nodes under test: it writes down notifications and holds HTLCs back.

Notifications are appended, exactly as lightningd sent them, to `notifications.jsonl` in the node's directory.
`hold HASH` makes the node keep every HTLC of that payment hash until `release HASH [FAILURE] [PREIMAGE]`, which
lets them go on, or fails them with the given onion failure message (hex), or settles them in the node's place.
`held HASH` shows what is kept. Standard library only: any python3 runs it.
"""

import json
import sys
from pathlib import Path

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


def argument(params, position, name):
    """A parameter that came by position or by name, None if absent."""
    if isinstance(params, dict):
        return params.get(name)
    return params[position] if len(params) > position else None


def answer(call_id, result):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": call_id, "result": result}) + "\n\n")
    sys.stdout.flush()


def main():
    witness = Witness()
    lines = []
    for line in sys.stdin:
        lines.append(line)
        if line == "\n" and "".join(lines).strip():
            witness.handle(json.loads("".join(lines)))
            lines = []


if __name__ == "__main__":
    main()
