"""One call to lightningd, blocking and short, where there is no loop: before the manifest, and at the end."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import Any

from pay.host.rpc import CallError, Unanswered, short_name

_READ_BYTES = 1 << 16


def ask(path: str, method: str, params: Any, within_s: float) -> dict[str, Any]:
    """The result of a call.

    Parameters
    ----------
    path
        Of the host's socket.

    Raises
    ------
    CallError
        The host's answer is an error.
    Unanswered
        Nobody is there, or not in time, or it was no answer.
    """
    until_s = time.monotonic() + within_s
    ident = f"clnpay:{method}#{os.getpid()}"
    request = json.dumps({"jsonrpc": "2.0", "id": ident, "method": method, "params": params})
    received = b""
    try:
        with socket.socket(socket.AF_UNIX) as connection, short_name(path) as name:
            connection.settimeout(within_s)
            connection.connect(name)
            connection.sendall(request.encode() + b"\n\n")
            while b"\n\n" not in received:
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError("no answer in time")
                connection.settimeout(left_s)
                if not (piece := connection.recv(_READ_BYTES)):
                    raise ConnectionError("the host closed the connection")
                received += piece
        answer = json.loads(received.partition(b"\n\n")[0])
        error, result = answer.get("error"), answer.get("result")
    except (OSError, ValueError, AttributeError) as failure:
        raise Unanswered(f"{method}: {failure or 'no answer in time'}") from None
    if error is not None:
        raise CallError(method, error)
    if not isinstance(result, dict):
        raise Unanswered(f"{method}: an answer with neither result nor error")
    return result
