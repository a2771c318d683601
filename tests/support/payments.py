"""What tests of the payment room are made of: named nodes, routes of a line of channels, failure messages."""

from __future__ import annotations

from pay.feedback.blame import Blame, blame
from pay.feedback.failure import FailCode, Failure
from pay.network.policy import Policy
from pay.payment.settings import PartLimits
from pay.payment.terms import Limits, Terms
from pay.routing.preferences import Preferences
from pay.routing.query import Hop, Route
from pay.units import NodeId, Scid, ScidDir
from tests.support.values import varied

NOW = 1_700_000_000.0
HEIGHT = 800_000
PREIMAGE = bytes(range(32))


def node(name: str) -> NodeId:
    """A made-up node id that sorts as its name does."""
    return NodeId(b"\x02" + name.encode().ljust(32, b"."))


def scid(number: int) -> Scid:
    return Scid(number << 40 | 1 << 16)


def line(
    amount_msat: int,
    names: str = "abcd",
    fee_msat: int = 1_000,
    first: int = 1,
    delta: int = 40,
    final_cltv: int = 18,
) -> Route:
    """us ─1─ a ─2─ b ─3─ c ─4─ d: `amount_msat` arrives at the last one, each node between takes `fee_msat`.

    `first` is the number of the first channel; the directions alternate, 0 first.
    """
    last = len(names) - 1
    hops = tuple(
        Hop(
            scid=scid(first + i),
            direction=i % 2,
            node=node(name),
            amount_msat=amount_msat + fee_msat * (last - i),
            delay_blocks=final_cltv + delta * (last - i),
        )
        for i, name in enumerate(names)
    )
    return Route(hops, probability=0.5)


def terms(amount_msat: int = 100_000, **changes: object) -> Terms:
    """One part, which may be small, and nothing drawn; `changes` of limits and preferences by their names."""
    plain = Terms(
        payment_hash=bytes(32),
        groupid=1,
        source=node("us"),
        destination=node("d"),
        amount_msat=amount_msat,
        total_msat=amount_msat,
        final_cltv=18,
        limits=Limits(5_000, "exemptfee 5000msat", 2016, deadline_s=NOW + 60, parts=PartLimits(max_parts=1)),
        preferences=Preferences(min_part_msat=0, randomness=0.0),
        expires_at_s=NOW + 3600,
        created_at_s=NOW,
    )
    return varied(plain, **changes)


def update_bytes(channel: ScidDir, policy: Policy) -> bytes:
    """A channel_update of BOLT 7 with its type, unsigned."""
    return b"".join((
        b"\x01\x02", bytes(64), bytes(32), channel.scid.to_bytes(8, "big"), policy.timestamp.to_bytes(4, "big"),
        bytes([1, channel.direction | (0 if policy.enabled else 2)]), policy.cltv_delta.to_bytes(2, "big"),
        policy.htlc_min_msat.to_bytes(8, "big"), policy.fee_base_msat.to_bytes(4, "big"),
        policy.fee_ppm.to_bytes(4, "big"), policy.htlc_max_msat.to_bytes(8, "big"),
    ))  # fmt: skip


BEFORE_UPDATE: dict[int, int] = {
    FailCode.AMOUNT_BELOW_MINIMUM: 8,
    FailCode.FEE_INSUFFICIENT: 8,
    FailCode.INCORRECT_CLTV_EXPIRY: 4,
    FailCode.CHANNEL_DISABLED: 2,
}
"""BOLT 4: bytes of other fields between the code and the channel_update."""


def message(code: int, *, update: bytes = b"", height: int | None = None) -> bytes:
    """A failure message of BOLT 4 with what its code carries."""
    raw = code.to_bytes(2, "big")
    if height is not None:
        return raw + (100_000).to_bytes(8, "big") + height.to_bytes(4, "big")
    if code & 0x1000:
        raw += bytes(BEFORE_UPDATE.get(code, 0)) + len(update).to_bytes(2, "big") + update
    return raw


def failed(index: int | None, code: int | None, reason: str = "", **fields: object) -> Failure:
    """Hop number `index` answered with `code`."""
    raw = b"" if code is None else message(code, **fields)  # type: ignore[arg-type]
    return Failure(index, code, reason, raw)


def unknown_payment(index: int, height: int = HEIGHT) -> Failure:
    return failed(index, FailCode.UNKNOWN_PAYMENT, height=height)


def no_balance(index: int) -> Failure:
    return failed(index, FailCode.TEMPORARY_CHANNEL_FAILURE)


def blamed(route: Route, failure: Failure, out_s: float = 1.0) -> Blame:
    """What `failure` of the part that took `route` says."""
    return blame(route, failure, route.hops[-1].node, HEIGHT, out_s)
