"""The datastore: a tree of small values that survives restarts. Source: lightningd's datastore.c."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.commands.table import Answer, checked, host_command
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.rpc.params import (
    INVALID_PARAMS,
    escaped_string,
    hex_bytes,
    key_path,
    one_of,
    opt,
    req,
    u64,
)

_MODES = ("must-create", "must-replace", "create-or-replace", "must-append", "create-or-append")
_MODE_PROBLEM = (
    "should be 'must-create', 'must-replace', 'create-or-replace', 'must-append', or 'create-or-append'"
)


def _entries(context: Context) -> dict[tuple[str, ...], tuple[bytes, int]]:
    rows = context.db.query("SELECT key, data, generation FROM datastore")
    found = {tuple(json.loads(row["key"])): (bytes(row["data"]), int(row["generation"])) for row in rows}
    return dict(sorted(found.items()))


def _shown(key: tuple[str, ...], data: bytes | None = None, generation: int = 0) -> dict[str, Any]:
    entry: dict[str, Any] = {"key": list(key)}
    if data is not None:
        entry |= {"generation": generation, "hex": data.hex()}
        with contextlib.suppress(UnicodeDecodeError):
            entry["string"] = data.decode()
    return entry


@host_command(
    "datastore", req("key", key_path), opt("string", escaped_string), opt("hex", hex_bytes),
    opt("mode", one_of(_MODE_PROBLEM, *_MODES), "must-create"), opt("generation", u64), checks_itself=True,
)  # fmt: skip
def datastore(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    key, mode, generation = tuple(args["key"]), args["mode"], args["generation"]
    data = args["hex"]
    if args["string"] is not None:
        if data is not None:
            raise RpcError(INVALID_PARAMS, "Cannot have both hex and string")
        data = args["string"].encode()
    elif data is None:
        raise RpcError(INVALID_PARAMS, "Must have either hex or string")
    if generation is not None and mode not in ("must-replace", "must-append"):
        raise RpcError(INVALID_PARAMS, "generation only valid with must-replace or must-append")
    entries = _entries(context)
    previous = entries.get(key)
    _refuse(entries, key, mode)
    if generation is not None and previous is not None and previous[1] != generation:
        raise RpcError(1204, "generation is different")
    checked(command)
    if previous is not None:
        data = previous[0] + data if mode.endswith("append") else data
    count = 0 if previous is None else previous[1] + 1
    context.db.query("REPLACE INTO datastore VALUES (?, ?, ?)", json.dumps(key), data, count)
    return _shown(key, data, count)


def _refuse(entries: dict[tuple[str, ...], tuple[bytes, int]], key: tuple[str, ...], mode: str) -> None:
    if key not in entries:
        if any(other[: len(key)] == key for other in entries):
            raise RpcError(1205, "Key has children already")
        for length in range(1, len(key)):
            if key[:length] in entries:
                raise RpcError(1206, f"Parent key [{','.join(key[:length])}] exists")
        if mode in ("must-replace", "must-append"):
            raise RpcError(1203, "Key does not exist")
    elif mode == "must-create":
        raise RpcError(1202, "Key already exists")


@host_command("listdatastore", opt("key", key_path))
def listdatastore(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    prefix = tuple(args["key"] or ())
    shown: dict[tuple[str, ...], dict[str, Any]] = {}
    for key, (data, generation) in _entries(context).items():
        if key[: len(prefix)] != prefix:
            continue
        if len(key) > len(prefix) + 1:
            parent = key[: len(prefix) + 1]
            shown.setdefault(parent, _shown(parent))
        else:
            shown[key] = _shown(key, data, generation)
    return {"datastore": list(shown.values())}


@host_command("deldatastore", req("key", key_path), opt("generation", u64), checks_itself=True)
def deldatastore(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    key = tuple(args["key"])
    entry = _entries(context).get(key)
    if entry is None:
        raise RpcError(1200, "Key does not exist")
    if args["generation"] is not None and args["generation"] != entry[1]:
        raise RpcError(1201, "generation is different")
    checked(command)
    context.db.query("DELETE FROM datastore WHERE key = ?", json.dumps(key))
    return _shown(key, *entry)
