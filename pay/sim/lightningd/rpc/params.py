"""Parameters of commands, checked and refused in lightningd's words.

A command declares its parameters in order; callers give them by position or by name. Values are
judged by their text, as lightningd does: `"1000"` and `1000` are the same integer.
Source: lightningd's common/json_param.c.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from coincurve import PublicKey

from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.units import parse_msat, parse_node_id, parse_scid

INVALID_PARAMS = -32602


class BadParam(Exception):
    """What is wrong with a value, e.g. "should be an integer"."""

    def __init__(self, problem: str, token: Any = None):
        super().__init__(problem)
        self.problem = problem
        self.token = token


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a command: how to read it, and what it is when absent."""

    name: str
    parse: Callable[[Any], Any]
    required: bool = False
    default: Any = None
    since: tuple[int, int] = (0, 0)
    """The release that brought it."""
    developer: bool = False
    """Whether only a host in developer mode has it."""


def req(name: str, parse: Callable[[Any], Any]) -> Param:
    """A parameter that must be there."""
    return Param(name, parse, required=True)


def opt(
    name: str, parse: Callable[[Any], Any], default: Any = None, *, since: tuple[int, int] = (0, 0),
    developer: bool = False,
) -> Param:  # fmt: skip
    """A parameter that may be absent or null."""
    return Param(name, parse, default=default, since=since, developer=developer)


def had(params: Sequence[Param], release: tuple[int, int], developer: bool) -> list[Param]:
    """Those that a host of this release has."""
    return [p for p in params if p.since <= release and (developer or not p.developer)]


def usage(params: Sequence[Param]) -> str:
    """The usage line as `help` shows it."""
    return " ".join(p.name if p.required else f"[{p.name}]" for p in params)


def read_params(
    params: Sequence[Param], given: Any, *, allow_extra: bool = False, verbose: bool = False
) -> dict[str, Any]:
    """The values by name, defaults filled in.

    Parameters
    ----------
    given
        The request's `params`: a list or a dict.
    verbose
        Whether a refused value is repeated in the message (developer mode, and `check`).

    Raises
    ------
    RpcError
        -32602 with the message lightningd gives.
    """
    if isinstance(given, list):
        values = _by_position(params, given, allow_extra, verbose)
    elif isinstance(given, dict):
        values = _by_name(params, given, allow_extra, verbose)
    else:
        raise RpcError(INVALID_PARAMS, "Expected array or object for params")
    for param in params:
        if param.required and param.name not in values:
            raise RpcError(INVALID_PARAMS, f"missing required parameter: {param.name}")
        values.setdefault(param.name, param.default)
    return values


def _by_position(params: Sequence[Param], given: list[Any], allow_extra: bool, verbose: bool) -> dict[str, Any]:
    """A null is nothing; values are judged in order, so a bad one is refused before one too many."""
    values = {}
    for position, value in enumerate(given):
        if position == len(params):
            if allow_extra:
                break
            raise RpcError(INVALID_PARAMS, f"too many parameters: got {len(given)}, expected {len(params)}")
        if value is not None:
            values[params[position].name] = _read(params[position], value, verbose)
    return values


def _by_name(params: Sequence[Param], given: dict[str, Any], allow_extra: bool, verbose: bool) -> dict[str, Any]:
    """A null is a value like any other here."""
    values = {}
    by_name = {p.name: p for p in params}
    for name, value in given.items():
        if name in by_name:
            values[name] = _read(by_name[name], value, verbose)
        elif not allow_extra:
            raise RpcError(
                INVALID_PARAMS,
                f"unknown parameter: {name}, this may be caused by a failure to autodetect key=value-style"
                " parameters. Please try using the -k flag and explicit key=value pairs of parameters.",
            )
    return values


def _read(param: Param, value: Any, verbose: bool) -> Any:
    try:
        return param.parse(value)
    except BadParam as bad:
        token = value if bad.token is None else bad.token
        shown = f"token '{json.dumps(token)}'" if verbose else "token (see logs for details)"
        raise RpcError(INVALID_PARAMS, f"{param.name}: {bad.problem}: invalid {shown}") from None


def without(given: Any, first: str) -> Any:
    """The parameters that follow the first one, which is called `first`."""
    return given[1:] if isinstance(given, list) else {k: v for k, v in given.items() if k != first}


def text_of(value: Any) -> str:
    """A value's text as it stood in the request, without quotes."""
    return value if isinstance(value, str) else json.dumps(value)


def strings(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise BadParam("should be an array")
    if not all(isinstance(each, str) for each in value):
        raise BadParam("should only contain strings")
    return value


def percent(value: Any) -> float:
    """A number that is not negative, kept to six digits behind the point."""
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text_of(value)) is None:
        raise BadParam("should be a non-negative floating-point number")
    return float(text_of(value))


def any_value(value: Any) -> Any:
    return value


def string(value: Any) -> str:
    return text_of(value)


def raw_string(value: Any) -> str:
    """The host keeps it as JSON writes it: a quote comes back with a backslash."""
    return json.dumps(value, ensure_ascii=False)[1:-1] if isinstance(value, str) else text_of(value)


def escaped_string(value: Any) -> str:
    if not isinstance(value, str):
        raise BadParam("should be a string (without \\u)")
    return value


def label(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadParam("should be a string or number")
    return str(value)


def boolean(value: Any) -> bool:
    if text_of(value) not in ("true", "false"):
        raise BadParam("should be 'true' or 'false'")
    return text_of(value) == "true"


def _unsigned(bits: int, problem: str) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        text = text_of(value)
        if re.fullmatch(r"[0-9]+", text) is None or int(text) >= 1 << bits:
            raise BadParam(problem)
        return int(text)

    return parse


number = _unsigned(32, "should be an integer")
u32 = _unsigned(32, "should be an unsigned 32 bit integer")
u64 = _unsigned(64, "should be an unsigned 64 bit integer")


def _hex(length: int, problem: str) -> Callable[[Any], bytes]:
    def parse(value: Any) -> bytes:
        try:
            raw = bytes.fromhex(text_of(value))
        except ValueError:
            raise BadParam(problem) from None
        if length and len(raw) != length:
            raise BadParam(problem)
        return raw

    return parse


sha256 = _hex(32, "should be a 32 byte hex value")
secret = _hex(32, "should be a 32 byte hex value")
hex_bytes = _hex(0, "should be a hex value")
preimage = _hex(32, "should be 64 hex digits")


def msat(value: Any) -> int:
    try:
        return parse_msat(value if isinstance(value, int) and not isinstance(value, bool) else text_of(value))
    except ValueError:
        raise BadParam("should be a millisatoshi amount") from None


def msat_or_any(value: Any) -> int | None:
    if value == "any":
        return None
    problem = "should be positive msat or 'any'"
    amount = msat_or_problem(value, problem)
    if amount == 0:
        raise BadParam(problem)
    return amount


def msat_or_problem(value: Any, problem: str) -> int:
    """An amount, refused with words of the caller's own."""
    try:
        return msat(value)
    except BadParam:
        raise BadParam(problem, value) from None


def node_id(value: Any) -> bytes:
    try:
        node = parse_node_id(value)
        PublicKey(node)
    except ValueError:
        raise BadParam("should be a node id") from None
    return node


def short_channel_id(value: Any) -> int:
    try:
        return parse_scid(value)
    except ValueError:
        raise BadParam("should be a short_channel_id of form NxNxN") from None


def invstring(value: Any) -> str:
    """An invoice without `lightning:`, in lower case."""
    text = text_of(value)
    if text[:10].lower() == "lightning:":
        text = text[10:]
    return text.lower()


def key_path(value: Any) -> list[str]:
    """A datastore key: one string or several."""
    if isinstance(value, list):
        if not value:
            raise BadParam("should not be empty")
        if any(isinstance(part, list | dict) for part in value):
            raise BadParam("should be string")
        return [text_of(part) for part in value]
    if isinstance(value, dict):
        raise BadParam("should be string or array")
    return [text_of(value)]


def one_of(problem: str, *allowed: str) -> Callable[[Any], str]:
    """One of a few words."""

    def parse(value: Any) -> str:
        if text_of(value) not in allowed:
            raise BadParam(problem)
        return text_of(value)

    return parse
