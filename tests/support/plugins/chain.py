#!/usr/bin/env python3
"""A chain backend for a lightningd that shall have none: as many empty blocks as it asks for, no transactions.

Standard library only. Each block has one coinbase transaction and names the one before it; no work went into any.
"""

from __future__ import annotations

import json
import struct
import sys
from functools import cache
from hashlib import sha256

HEIGHT = 935_000
"""The tip; that of early February 2026."""

_FIRST = HEIGHT - 400
"""Blocks below are never asked for; this one's parent is nobody's."""


def twice(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()


def coinbase(height: int) -> bytes:
    script = b"\x03" + struct.pack("<I", height)[:3]
    start = struct.pack("<I", 1) + b"\1" + bytes(32) + b"\xff\xff\xff\xff" + bytes([len(script)]) + script
    return start + b"\xff\xff\xff\xff" + b"\1" + struct.pack("<Q", 0) + b"\1\x51" + bytes(4)


@cache
def header(height: int) -> bytes:
    before = twice(header(height - 1)) if height > _FIRST else bytes(32)
    times = struct.pack("<III", 1_770_000_000 + (height - HEIGHT) * 600, 0x1703_0000, 0)
    return struct.pack("<I", 4) + before + twice(coinbase(height)) + times


def block(height: int) -> dict[str, object]:
    if not _FIRST <= height <= HEIGHT:
        return {"blockhash": None, "block": None}
    for below in range(_FIRST, height):
        header(below)
    raw = header(height) + b"\1" + coinbase(height)
    return {"blockhash": twice(header(height))[::-1].hex(), "block": raw.hex()}


METHODS = {
    "getmanifest": lambda params: {
        "options": [],
        "rpcmethods": [
            {"name": name, "usage": "", "description": "Part of a made-up chain"}
            for name in ("getchaininfo", "getrawblockbyheight", "getutxout", "estimatefees", "sendrawtransaction")
        ],
        "dynamic": False,
    },
    "init": lambda params: {},
    "getchaininfo": lambda params: {
        "chain": "main", "headercount": HEIGHT, "blockcount": HEIGHT, "ibd": False,
    },
    "getrawblockbyheight": lambda params: block(int(named(params, "height"))),
    "getutxout": lambda params: {"amount": None, "script": None},
    "estimatefees": lambda params: {
        "feerate_floor": 1000,
        "feerates": [{"blocks": blocks, "feerate": 2000} for blocks in (2, 6, 12, 100)],
    },
    "sendrawtransaction": lambda params: {"success": False, "errmsg": "there is no chain"},
}  # fmt: skip


def named(params: object, name: str) -> object:
    return params[name] if isinstance(params, dict) else params[0]  # type: ignore[index]


def main() -> None:
    buffer = ""
    for line in sys.stdin:
        buffer += line
        if line.strip() or not buffer.strip():
            continue
        request, buffer = json.loads(buffer), ""
        if "id" not in request:
            continue
        answer = {"jsonrpc": "2.0", "id": request["id"], "result": METHODS[request["method"]](request["params"])}
        sys.stdout.write(json.dumps(answer) + "\n\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
