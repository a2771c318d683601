"""A plugin that has a name and nothing else, so that a call of it reaches the hook of whoever serves it.

lightningd asks a hook only of commands that exist, and a plugin can register none once it runs. Where nobody has
`pay`, the file beside this one that is called so is started, and has it. A call comes here only when the hook is
gone. Standard library only, as little as may be, and in the syntax of an old Python: the node ends where the owner
of a command ends while a call of it is at a hook, so this runs until lightningd closes its input.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

NOT_RUNNING = (
    "The payment plugin (clnpay) is not running: nothing was sent. Start it, or `plugin stop {0}.py` and start "
    "another plugin that has `{0}`."
)


def answer(name: str, request: dict[str, Any]) -> dict[str, Any]:
    """What is said to a request of lightningd's."""
    if request["method"] == "getmanifest":
        about = {"name": name, "usage": "...", "description": "Served by clnpay; here is its name only"}
        return {"result": {"options": [], "rpcmethods": [about], "dynamic": True}}
    if request["method"] == "init":
        return {"result": {}}
    return {"error": {"code": -1, "message": NOT_RUNNING.format(name)}}


def serve(name: str) -> None:
    """Until lightningd closes stdin."""
    received = b""
    while True:
        piece = os.read(0, 1 << 16)
        if not piece:
            return
        *messages, received = (received + piece).split(b"\n\n")
        for text in filter(bytes.strip, messages):
            try:
                request = json.loads(text.decode("utf-8", "replace"))
                if "id" not in request:
                    continue
                said = dict(answer(name, request), jsonrpc="2.0", id=request["id"])
            except (ValueError, LookupError, TypeError, RecursionError) as error:
                sys.stderr.write(f"{name}.py: {error!r}\n")
                continue
            os.write(1, json.dumps(said).encode() + b"\n\n")
