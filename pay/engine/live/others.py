"""Payments that other plugins of the node make: what they tell of their parts, and who made which.

    pay_part_start      the route of a part, when it is about to be sent
    pay_part_end        what became of it

cln-xpay tells of each of its parts so (doc/schemas/notification/xpay_pay_part_{start,end}.json of the host), as we
do of ours. A start without an end is normal: the host may refuse a part that was announced, and then no end comes.
So what is started counts as out for a while only, nothing is shown of it that the host's table does not have, and
it teaches nothing by itself. What they tell is the node's own word: a plugin that the operator runs has read the
answer of the network. What does not fit the route that was announced teaches nothing either.

Delays are not told. With none, no channel beside the one that refused counts as one that would have been taken.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pay.feedback.blame import Blame, blame
from pay.feedback.failure import FailCode, Failure
from pay.liquidity.in_flight import Fate, Part
from pay.routing.query import Hop, Route
from pay.units import MAX_MSAT, ScidDir, parse_msat, parse_node_id, parse_scid

MOST = 10_000
"""Starts, and payments with their senders, that are kept: 2 kB each."""

KEPT_S = 86_400.0
"""For so long: a part that is held ends within days or hours, and its lesson is old by then."""

OUT_S = 600.0
"""So long one that has not ended counts as out: longer ones are mostly such as were never sent."""

MOST_OUT = 1_000
"""The newest of them, which are looked through for each part that ends."""

MOST_HOPS = 100
"""Of a route, BOLT 4 has room for 27."""

_GARBLED = "Garbled error message"
"""cln-xpay's words for an answer that nobody on the route can have written."""

Key = tuple[bytes, int, int]
"""payment_hash, groupid, partid"""


@dataclass(frozen=True, slots=True)
class Sent:
    """A part that `by` has announced, at unix time `began_s`."""

    by: str
    key: Key
    route: Route
    began_s: float

    @property
    def group(self) -> str:
        """Its payment, as log lines name it."""
        return f"payment_hash={self.key[0].hex()} groupid={self.key[1]}"

    def part(self, fate: Fate, ended_s: float | None = None) -> Part:
        """As other parts must take it into account."""
        holds = tuple((hop.scid_dir, hop.amount_msat) for hop in self.route.hops[1:])
        return Part(holds, fate, self.began_s, ended_s)


@dataclass(frozen=True, slots=True)
class Over:
    """One that has ended: `blame` is None where it settled, and `told` False where its end says nothing."""

    sent: Sent
    settled: bool
    told: bool
    blame: Blame | None
    seconds: float


class Others:
    """All that was told lately, in the order in which it was."""

    def __init__(self) -> None:
        self._sent: OrderedDict[Key, Sent] = OrderedDict()
        self._by: OrderedDict[tuple[str, int], str] = OrderedDict()

    # --- looking --------------------------------------------------------------------------------------------

    def sender(self, payment_hash: str, groupid: int) -> str | None:
        """The plugin that has told of a part of this group; None where none has."""
        return self._by.get((payment_hash, groupid))

    def out(self, now_s: float) -> Iterator[Part]:
        """What may be out of them."""
        for count, sent in enumerate(reversed(self._sent.values())):
            if count >= MOST_OUT or now_s - sent.began_s > OUT_S:
                return
            yield sent.part(Fate.OUT)

    # --- what is told ---------------------------------------------------------------------------------------

    def started(self, by: str, fields: Mapping[str, Any], now_s: float) -> None:
        """A part is about to be sent. Raises KeyError, TypeError, ValueError where that cannot be read."""
        key = _key(fields)
        group = key[0].hex(), key[1]
        self._by[group] = by
        self._by.move_to_end(group)
        if len(self._by) > MOST:
            self._by.popitem(last=False)
        hops = _hops(fields["hops"])
        if not hops:
            return
        self._sent.pop(key, None)
        self._sent[key] = Sent(by, key, Route(hops, 1.0), now_s)
        while self._sent and (len(self._sent) > MOST or self._oldest_s() < now_s - KEPT_S):
            self._sent.popitem(last=False)

    def ended(self, by: str, fields: Mapping[str, Any], now_s: float) -> Over | None:
        """A part is over; None where its start was not told, or is long ago. Raises as `started` does."""
        key = _key(fields)
        sent = self._sent.get(key)
        if sent is None or sent.by != by:
            return None
        del self._sent[key]
        seconds = min(max(0.0, float(fields.get("duration", now_s - sent.began_s))), KEPT_S)
        if fields["status"] == "success":
            return Over(sent, True, True, None, seconds)
        failure = _failure(sent.route, fields)
        if failure is None:
            return Over(sent, False, False, None, seconds)
        # No height matters here: heights are between the recipient and the sender.
        said = blame(sent.route, failure, sent.route.hops[-1].node, sent_height=0, out_s=seconds)
        return Over(sent, False, True, said, seconds)

    def _oldest_s(self) -> float:
        return next(iter(self._sent.values())).began_s


def _key(fields: Mapping[str, Any]) -> Key:
    payment_hash = bytes.fromhex(fields["payment_hash"])
    if len(payment_hash) != 32:
        raise ValueError("payment_hash is none")
    return payment_hash, _whole(fields["groupid"]), _whole(fields["partid"])


def _whole(value: Any) -> int:
    """A number of 64 bits, exactly: a groupid of cln-xpay is mostly above 2^53."""
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise ValueError(f"{value!r} is no whole number of 64 bits")
    return value


def _hops(told: Any) -> tuple[Hop, ...]:
    if not isinstance(told, list) or len(told) > MOST_HOPS:
        raise ValueError("hops are no list of hops")
    return tuple(map(_hop, told))


def _hop(told: Mapping[str, Any]) -> Hop:
    amount_msat, direction = parse_msat(told["channel_out_msat"]), told["direction"]
    if not 0 < amount_msat <= MAX_MSAT or direction not in (0, 1):
        raise ValueError("a hop without an amount or a direction")
    scid, node = parse_scid(told["short_channel_id"]), parse_node_id(told["next_node"])
    return Hop(scid, int(direction), node, amount_msat, delay_blocks=0)


def _failure(route: Route, fields: Mapping[str, Any]) -> Failure | None:
    """What was answered, by the place on the route where it was; None where that says nothing of anybody."""
    reason, code = str(fields.get("error_message", "")), fields.get("error_code")
    if code is None and reason == _GARBLED:
        return Failure(None, None, reason, unreadable=True)
    # Of a blinded path every failure is told so, by the node that it begins at: whose it is nobody knows.
    if type(code) is not int or code == FailCode.INVALID_ONION_BLINDING:
        return None
    index = _index(route, fields)
    if index is None:
        return None
    return Failure(index, code, reason, bytes.fromhex(fields.get("failed_msg", "")))


def _index(route: Route, fields: Mapping[str, Any]) -> int | None:
    """The erring_index of BOLT 4; None where node and channel are not those of one place on the route."""
    node = parse_node_id(fields["failed_node_id"]) if "failed_node_id" in fields else None
    if "failed_short_channel_id" not in fields:
        return len(route.hops) if node == route.hops[-1].node else None
    channel = ScidDir(parse_scid(fields["failed_short_channel_id"]), int(fields["failed_direction"]))
    for index, hop in enumerate(route.hops):
        if hop.scid_dir == channel and node == (route.hops[index - 1].node if index else None):
            return index
    return None
