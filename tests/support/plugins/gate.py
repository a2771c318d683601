#!/usr/bin/env python3
"""A plugin for a node under test: a slow `rpc_command` hook, or a signer that waits for a person.

`shut METHOD [MOST]` keeps calls of METHOD back, whoever makes them, at most so many; `waiting METHOD` says how
many wait, and how many there were in all; `open METHOD` lets them go on, in their order, and shuts no more.
"""

from plugin_io import answer, argument, serve

METHODS = ["sendpay", "preapproveinvoice", "listhtlcs", "listsendpays"]
MANIFEST = {
    "dynamic": True,
    "options": [],
    "rpcmethods": [
        {"name": "shut", "usage": "method [most]", "description": "Keep calls of this method back"},
        {"name": "open", "usage": "method", "description": "Let them go on"},
        {"name": "waiting", "usage": "method", "description": "How many there are"},
    ],
    "hooks": [{"name": "rpc_command", "filters": METHODS}],
}
UNLIMITED = 1 << 30


class Gate:
    """By method: how many calls are kept back at most, the hook's calls for those that are, and how many came."""

    def __init__(self):
        self.most = {}
        self.seen = dict.fromkeys(METHODS, 0)
        self.kept = {method: [] for method in METHODS}

    def request(self, method, params):
        """Answer of a request that need not wait."""
        if method == "getmanifest":
            return MANIFEST
        if method == "init":
            return {}
        name = argument(params, 0, "method")
        if method == "shut":
            self.most[name] = argument(params, 1, "most") or UNLIMITED
        if method == "open":
            self.most.pop(name, None)
            kept, self.kept[name] = self.kept[name], []
            for call_id in kept:
                answer(call_id, {"result": "continue"})
            return {"calls": len(kept)}
        return {"calls": len(self.kept[name]), "seen": self.seen[name]}

    def handle(self, message):
        """One message of lightningd."""
        if "id" not in message:
            return
        if message["method"] == "rpc_command":
            method = message["params"]["rpc_command"]["method"]
            if method not in METHODS:
                # A host without filters asks of every call.
                answer(message["id"], {"result": "continue"})
                return
            self.seen[method] += 1
            if len(self.kept[method]) < self.most.get(method, 0):
                self.kept[method].append(message["id"])
            else:
                answer(message["id"], {"result": "continue"})
            return
        answer(message["id"], self.request(message["method"], message["params"]))


if __name__ == "__main__":
    serve(Gate().handle)
