"""The parameters of `pay` as its manual documents them: positional, by name, with nulls.

Every problem is -32602 with a message that begins with the parameter's name. Numbers that decide about
money are read exactly (`Decimal`), never through a float. Source: lightning-pay(7).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pay.errors import Code, PayError, invalid_param
from pay.invoice import normalise
from pay.invoice.unreadable import other_thing
from pay.units import MAX_MSAT, NodeId, Scid, ScidDir, parse_msat, parse_node_id, parse_scid, show

PARAMETERS = (
    "bolt11",
    "amount_msat",
    "label",
    "riskfactor",
    "maxfeepercent",
    "retry_for",
    "maxdelay",
    "exemptfee",
    "localinvreqid",
    "exclude",
    "maxfee",
    "description",
    "partial_msat",
)
"""Positional order."""

DEVELOPER_PARAMETERS = ("dev_use_shadow",)

DEFAULT_RISKFACTOR = Decimal(10)
DEFAULT_MAXFEEPERCENT = Decimal("0.5")
DEFAULT_EXEMPTFEE_MSAT = 5_000
"""5 sat: below it a percentage of a tiny payment would refuse every route."""
DEFAULT_RETRY_FOR_S = 60
DEFAULT_MAXDELAY_BLOCKS = 2016

_U32 = (1 << 32) - 1
_NUMBER = re.compile(r"-?\d+(?:\.\d*)?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_MOST_DIGITS = 40
"""More in a percentage are no precision but work: exact fractions of long numbers take minutes."""


@dataclass(frozen=True, slots=True)
class PayRequest:
    """One call of `pay`, checked.

    Parameters
    ----------
    maxfeepercent, exemptfee_msat, maxfee_msat
        None where not given; `maxfee` excludes the other two.
    exclude_channels
        Both directions where a bare short_channel_id was given.
    """

    invstring: str
    amount_msat: int | None = None
    label: str | None = None
    riskfactor: Decimal = DEFAULT_RISKFACTOR
    maxfeepercent: Decimal | None = None
    retry_for_s: int = DEFAULT_RETRY_FOR_S
    maxdelay_blocks: int = DEFAULT_MAXDELAY_BLOCKS
    exemptfee_msat: int | None = None
    localinvreqid: str | None = None
    exclude_nodes: frozenset[NodeId] = frozenset()
    exclude_channels: frozenset[ScidDir] = frozenset()
    maxfee_msat: int | None = None
    description: str | None = None
    partial_msat: int | None = None
    use_shadow: bool = True

    def fee_limit_msat(self, amount_msat: int) -> int:
        """The most that may be paid in fees to deliver `amount_msat`.

        `maxfee` where given; else `maxfeepercent` of the amount, or `exemptfee` where that is more: a fee
        at or below it is never too much.
        """
        if self.maxfee_msat is not None:
            return self.maxfee_msat
        percent = DEFAULT_MAXFEEPERCENT if self.maxfeepercent is None else self.maxfeepercent
        exempt = DEFAULT_EXEMPTFEE_MSAT if self.exemptfee_msat is None else self.exemptfee_msat
        numerator, denominator = percent.as_integer_ratio()
        return min(MAX_MSAT, max(exempt, amount_msat * numerator // (denominator * 100)))

    def fee_limit_words(self, amount_msat: int) -> str:
        """Which of the caller's limits `fee_limit_msat` is, for a message."""
        if self.maxfee_msat is not None:
            return f"maxfee {self.maxfee_msat}msat"
        limit = self.fee_limit_msat(amount_msat)
        exempt = DEFAULT_EXEMPTFEE_MSAT if self.exemptfee_msat is None else self.exemptfee_msat
        if limit == exempt:
            return f"exemptfee {limit}msat"
        percent = DEFAULT_MAXFEEPERCENT if self.maxfeepercent is None else self.maxfeepercent
        return f"maxfeepercent {percent.normalize():f} % = {limit}msat"


def usage(invstring_first: bool, developer: bool) -> str:
    """The usage string of the host's manual; `invstring` leads it since v26.06."""
    names = ["invstring" if invstring_first else "bolt11"]
    names += [f"[{name}]" for name in PARAMETERS[1:]]
    names += [f"[{name}]" for name in DEVELOPER_PARAMETERS] if developer else []
    return " ".join(names)


def parse_request(params: Any, developer: bool = False) -> PayRequest:
    """Check the `params` of a JSON-RPC call of `pay`, a list or an object.

    Raises
    ------
    PayError
        -32602, naming the parameter.
    """
    given = _by_name(params, developer)
    if "bolt11" not in given:
        raise PayError(Code.INVALID_PARAMS, "missing required parameter: bolt11")

    def take(name: str, parse: Callable[[Any], Any], default: Any = None) -> Any:
        if name not in given:
            return default
        try:
            if not _is_text(given[name]):
                raise ValueError("has a character that is none")
            return parse(given[name])
        except ValueError as error:
            raise invalid_param(name, str(error)) from error

    if "maxfee" in given:
        for name in ("maxfeepercent", "exemptfee"):
            if name in given:
                raise invalid_param(name, "maxfee replaces it: give one or the other")
    nodes, channels = take("exclude", _exclude, (frozenset(), frozenset()))
    return PayRequest(
        invstring=take("bolt11", _invstring),
        amount_msat=take("amount_msat", _positive_msat),
        label=take("label", _text),
        riskfactor=take("riskfactor", _non_negative_decimal, DEFAULT_RISKFACTOR),
        maxfeepercent=take("maxfeepercent", _non_negative_decimal),
        retry_for_s=take("retry_for", _u32, DEFAULT_RETRY_FOR_S),
        maxdelay_blocks=take("maxdelay", _u32, DEFAULT_MAXDELAY_BLOCKS),
        exemptfee_msat=take("exemptfee", parse_msat),
        localinvreqid=take("localinvreqid", _hash),
        exclude_nodes=nodes,
        exclude_channels=channels,
        maxfee_msat=take("maxfee", parse_msat),
        description=take("description", _text),
        partial_msat=take("partial_msat", _positive_msat),
        use_shadow=take("dev_use_shadow", _bool, True),
    )


def _is_text(value: Any) -> bool:
    """JSON can escape half a surrogate pair, which no other program could be handed (RFC 8259, 8.2)."""
    if isinstance(value, list):
        # No parameter takes arrays in arrays, however deep they are.
        return all(isinstance(entry, list) or _is_text(entry) for entry in value)
    return not isinstance(value, str) or value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value)


def too_many(command: str, given: int, most: int) -> PayError:
    """-32602: more values by position than a command has parameters, which mostly is one that lacks its quotes."""
    return PayError(
        Code.INVALID_PARAMS,
        f"too many parameters: {given} values were given, and `{command}` takes {most} at the most: put one that "
        "has spaces in quotes",
    )


def _unknown(key: str, value: Any) -> PayError:
    """Of a parameter that there is not; lightning-cli makes one of a link with `=` in it."""
    words = other_thing(normalise(f"{key}={value}")) if re.search("[:/?]", key) else None
    if words is not None:
        return invalid_param("bolt11", words)
    return PayError(Code.INVALID_PARAMS, f"unknown parameter: {show(key)}")


def _by_name(params: Any, developer: bool) -> dict[str, Any]:
    """The parameters that were given, under their names; null is absent."""
    names = PARAMETERS + (DEVELOPER_PARAMETERS if developer else ())
    if isinstance(params, list):
        if len(params) > len(names):
            raise too_many("pay", len(params), len(names))
        return {name: value for name, value in zip(names, params, strict=False) if value is not None}
    if not isinstance(params, dict):
        raise PayError(Code.INVALID_PARAMS, "Expected array or object for params")
    given: dict[str, Any] = {}
    for key, value in params.items():
        name = "bolt11" if key == "invstring" else key
        if name not in names:
            raise _unknown(key, value)
        if value is None:
            continue
        if name in given:
            raise PayError(Code.INVALID_PARAMS, "duplicate parameters: bolt11 and invstring are the same one")
        given[name] = value
    return given


def _invstring(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"should be an invoice string, not {show(value)}")
    return value


def _positive_msat(value: Any) -> int:
    amount_msat = parse_msat(value)
    if amount_msat == 0:
        raise ValueError("should be more than 0msat")
    return amount_msat


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"should be a string, not {show(value)}")


def _non_negative_decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError(f"should be a number, not {show(value)}")
    text = str(value)
    # Of all that Decimal reads (infinities, "1_000", other scripts' digits) only what JSON calls a number.
    if _NUMBER.fullmatch(text) is None or len(text) > _MOST_DIGITS:
        raise ValueError(f"should be a number, not {show(value)}")
    number = Decimal(text)
    if number < 0:
        raise ValueError(f"should be a number of 0 or more, not {show(value)}")
    if number > 1_000_000_000 or (number and number.adjusted() < -18):
        raise ValueError(f"should be a number from 0 to 1000000000, not {show(value)}")
    return number


def _u32(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _U32:
        raise ValueError(f"should be a whole number from 0 to {_U32}, not {show(value)}")
    return value


def _hash(value: Any) -> str:
    try:
        if isinstance(value, str) and len(value) == 64 and len(bytes.fromhex(value)) == 32:
            return value.lower()
    except ValueError:
        pass
    raise ValueError(f"should be 32 bytes in hex, not {show(value)}")


def _bool(value: Any) -> bool:
    match value:
        case True | "true":
            return True
        case False | "false":
            return False
    raise ValueError(f"should be 'true' or 'false', not {show(value)}")


def _exclude(value: Any) -> tuple[frozenset[NodeId], frozenset[ScidDir]]:
    if not isinstance(value, list):
        raise ValueError(f"should be an array of short_channel_id/direction or node ids, not {show(value)}")
    nodes: set[NodeId] = set()
    channels: set[ScidDir] = set()
    for entry in value:
        if isinstance(entry, str) and "x" not in entry:
            nodes.add(_node_id_in(entry))
        elif isinstance(entry, str) and "/" not in entry:
            scid = _scid_in(entry)
            channels |= {ScidDir(scid, 0), ScidDir(scid, 1)}
        else:
            channels.add(_scid_dir_in(entry))
    return frozenset(nodes), frozenset(channels)


def _node_id_in(entry: str) -> NodeId:
    """A node id in an array, with an error that shows the entry. Raises ValueError."""
    try:
        return parse_node_id(entry)
    except ValueError:
        raise ValueError(f"entry {show(entry)} is neither short_channel_id/direction nor node id") from None


def _scid_in(entry: str) -> Scid:
    try:
        return parse_scid(entry)
    except ValueError as error:
        raise ValueError(f"entry {error}") from None


def _scid_dir_in(entry: Any) -> ScidDir:
    try:
        return ScidDir.parse(entry)
    except ValueError as error:
        raise ValueError(f"entry {error}") from None
