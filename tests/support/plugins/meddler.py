#!/usr/bin/env python3
"""A plugin for a node under test: another one that changes calls of `pay` and its like at the hook.

`meddle METHOD VERDICT` says what it answers from now on of calls of METHOD: `continue`, as at first; `replace`
leads them to its own `meddled`; `hold` keeps them until `meddle METHOD continue`.
"""

from plugin_io import answer, argument, serve

METHODS = ["pay", "xpay", "paystatus", "listpays", "check", "help"]
MANIFEST = {
    "dynamic": True,
    "options": [],
    "rpcmethods": [
        {"name": "meddle", "usage": "method verdict", "description": "Change calls of this method, or not"},
        {"name": "meddled", "usage": "...", "description": "What they are changed to"},
    ],
    "hooks": [{"name": "rpc_command", "filters": METHODS}],
}


class Meddler:
    """By method: the verdict, and the hook's calls that are held."""

    def __init__(self):
        self.verdicts = {}
        self.held = {method: [] for method in METHODS}

    def handle(self, message):
        """One message of lightningd."""
        if "id" in message:
            result = self.request(message)
            if result is not None:
                answer(message["id"], result)

    def request(self, message):
        """What to answer now, if anything."""
        method, params = message["method"], message["params"]
        if method == "rpc_command":
            return self.verdict(message["id"], params["rpc_command"])
        if method == "meddle":
            name = argument(params, 0, "method")
            self.verdicts[name] = argument(params, 1, "verdict")
            for call_id in self.held[name]:
                answer(call_id, {"result": "continue"})
            self.held[name].clear()
        return {"getmanifest": MANIFEST, "meddled": {"meddled": True}}.get(method, {})

    def verdict(self, call_id, call):
        """Of one call."""
        match self.verdicts.get(call["method"]):
            case "replace":
                return {"replace": {**call, "method": "meddled"}}
            case "hold":
                self.held[call["method"]].append(call_id)
                return None
        return {"result": "continue"}


if __name__ == "__main__":
    serve(Meddler().handle)
