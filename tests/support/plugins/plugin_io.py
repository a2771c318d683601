"""What the plugins for nodes under test share: they read requests of lightningd and answer them, now or later.

Standard library only: any python3 runs them, each as a program beside this file.
"""

import json
import sys


def argument(params, position, name):
    """A parameter that came by position or by name, None if absent."""
    if isinstance(params, dict):
        return params.get(name)
    return params[position] if len(params) > position else None


def answer(call_id, result):
    """The result of a request, which may have come long before."""
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": call_id, "result": result}) + "\n\n")
    sys.stdout.flush()


def serve(handle):
    """Hand each message of lightningd to `handle`, until there are no more."""
    lines = []
    for line in sys.stdin:
        lines.append(line)
        if line == "\n" and "".join(lines).strip():
            handle(json.loads("".join(lines)))
            lines = []
