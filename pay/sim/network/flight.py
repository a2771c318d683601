"""One HTLC on its way through the simulated network: forward hop by hop, an answer back hop by hop.

Each node that it reaches does what BOLT 2, 4 and 7 say with the channels it truly has (`forwarding`), or what its
faults make it do. On the way back every channel is unlocked in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pay.sim.network.answers import told_lie, true_answer
from pay.sim.network.channel import ChannelHtlc, Refusal, SimChannel, SimPeer, lacks_required_feature
from pay.sim.network.encoding.failures import BADONION, FailCode, failure
from pay.sim.network.faults import Faults
from pay.sim.network.forwarding import Forward, complaint, other_channel
from pay.sim.network.htlc import Failed, FinalPayload, HtlcOutcome, LocalFailure, Settled, Unparsable, WireHop
from pay.sim.network.liars import UNREADABLE, Lie, Role
from pay.sim.network.recipient import receive, unknown_details
from pay.sim.network.state import NetworkState
from pay.units import NodeId, direction_of

ONION_REPLY_BYTES = 292
"""Length of an error on its way back (BOLT 4: 32 hmac + 2 + 256 + 2)."""


class Flight:
    """An HTLC with everything it has locked; `at` is the number of the node that has it, the sender is 0."""

    __slots__ = (
        "amount_msat", "at", "cltv_expiry", "done", "final", "hops", "htlc_id", "locks", "outcome", "payment_hash",
        "source", "state",
    )  # fmt: skip

    def __init__(
        self,
        state: NetworkState,
        htlc_id: int,
        source: SimPeer,
        hops: Sequence[WireHop],
        payment_hash: bytes,
        final: FinalPayload,
        done: Callable[[HtlcOutcome], None],
    ):
        self.state = state
        self.htlc_id = htlc_id
        self.source = source
        self.hops = tuple(hops)
        self.payment_hash = payment_hash
        self.final = final
        self.done = done
        self.at = 0
        self.amount_msat = hops[0].amount_msat
        """Of the HTLC that the node `at` holds."""
        self.cltv_expiry = hops[0].cltv_expiry
        self.locks: list[tuple[SimChannel, int]] = []
        self.outcome: HtlcOutcome | None = None

    # The sender.

    def launch(self) -> None:
        """Offer the HTLC to the first peer.

        Raises
        ------
        LocalFailure
            Where lightningd's `sendpay` would fail at once; nothing happens later then.
        """
        hop = self.hops[0]
        direction = direction_of(self.source.id, hop.node)
        channel = self.state.find_channel(hop.scid, self.source.id, own=True)
        if channel is None or channel.closed or channel.peer_of(self.source.id).id != hop.node:
            text = "No connection to first peer found"
            raise LocalFailure(text, FailCode.UNKNOWN_NEXT_PEER, self.source.id, None, direction)
        refusal = channel.refusal(direction, hop.amount_msat)
        if refusal is Refusal.DISCONNECTED:
            text = "failed: WIRE_TEMPORARY_CHANNEL_FAILURE (First peer not ready)"
            scid = channel.name_for(self.source.id)
            raise LocalFailure(text, FailCode.TEMPORARY_CHANNEL_FAILURE, self.source.id, scid, direction)
        if refusal is not None:
            code, reason = _LOCAL_REASONS[refusal]
            self.outcome = Failed(0, self.source.id, hop.scid, direction, code, b"", reason)
            self.state.clock.call_later(0.0, self._finish)
            return
        self._offer(channel, direction, hop.amount_msat, hop.cltv_expiry)

    # Forward.

    def _offer(self, channel: SimChannel, direction: int, amount_msat: int, cltv_expiry: int) -> None:
        """Lock the amount in a channel that takes it, and be at its other end a little later."""
        channel.add(
            (self.htlc_id, self.at),
            ChannelHtlc(self.htlc_id, direction, amount_msat, cltv_expiry, self.payment_hash),
        )
        self.locks.append((channel, direction))
        self.amount_msat = amount_msat
        self.cltv_expiry = cltv_expiry
        peer = channel.nodes[1 - direction]
        delay_s = channel.latency_s + peer.latency_s
        delay_s += sum(f.delay_s for f in (peer.faults, channel.faults[direction]) if f is not None)
        self.state.clock.call_later(self.state.jittered(delay_s), self._arrive)

    def _arrive(self) -> None:
        """The next node has the HTLC."""
        self.at += 1
        self._act()

    def _act(self) -> None:
        """What the node that has the HTLC does with it."""
        node = self._node()
        if _stuck(node.faults):
            node.parked[self.htlc_id] = self._act
            return
        if node.id != self.hops[self.at - 1].node:
            # The onion is not for this node: it cannot read it, and the node before it says so.
            self.at -= 1
            self._unlock_last(settled=False)
            self._blame(failure(FailCode.INVALID_ONION_HMAC, onion_hash=self.state.noise(32)))
            return
        lie = None
        if node.faults is not None and node.faults.liar is not None:
            lie = node.faults.liar.next(Role.of(self.at, len(self.hops)))
        code = node.faults.take_code() if node.faults is not None else None
        if lie is not None:
            self._lie(node, lie)
        elif code is not None:
            self._answer_code(node, code)
        elif lacks_required_feature(node.features):
            self._blame(failure(FailCode.REQUIRED_NODE_FEATURE_MISSING))
        elif self._at_last:
            self._receive(node)
        else:
            self._forward(node)

    @property
    def _at_last(self) -> bool:
        """Whether the recipient has the HTLC."""
        return self.at == len(self.hops)

    def _in_hand(self, node: SimPeer) -> Forward:
        return Forward(node, self.amount_msat, self.cltv_expiry, self.hops[min(self.at, len(self.hops) - 1)])

    def _lie(self, node: SimPeer, lie: Lie) -> None:
        """Answer in a liar's words."""
        assert node.faults is not None and node.faults.liar is not None
        if lie.code is UNREADABLE:
            self._return(Unparsable(self.state.noise(ONION_REPLY_BYTES)))
        else:
            self._blame(told_lie(self.state, self._in_hand(node), node.faults.liar, lie))

    def _answer_code(self, node: SimPeer, code: int) -> None:
        """Answer with a code that a fault sets, whatever is true."""
        asked = self._in_hand(node)
        channel = None if self._at_last else self.state.find_channel(asked.hop.scid, node.id)
        direction = channel.side(node.id) if channel is not None else 0
        self._blame(true_answer(self.state, asked, code, channel, direction))

    def _forward(self, node: SimPeer) -> None:
        hop = self.hops[self.at]
        channel = self.state.find_channel(hop.scid, node.id)
        if channel is None or channel.closed:
            self._blame(failure(FailCode.UNKNOWN_NEXT_PEER))
            return
        direction = channel.side(node.id)
        faults = channel.faults[direction]
        if faults is not None and faults.silent:
            node.parked[self.htlc_id] = self._act
            return
        asked = self._in_hand(node)
        code = faults.take_code() if faults is not None else None
        if code is None:
            code = complaint(self.state, asked, channel, direction)
        if code is FailCode.TEMPORARY_CHANNEL_FAILURE and self.state.non_strict:
            other = other_channel(self.state, asked, channel, direction)
            if other is not None:
                channel, code = other, None
        if code is not None:
            self._blame(true_answer(self.state, asked, code, channel, direction))
            return
        amount_msat, cltv_expiry = hop.amount_msat, hop.cltv_expiry
        if node.faults is not None:
            amount_msat -= node.faults.skim_msat
            cltv_expiry -= node.faults.skim_blocks
        self._offer(channel, direction, amount_msat, cltv_expiry)

    # The recipient.

    def _receive(self, node: SimPeer) -> None:
        hop = self.hops[-1]
        height = self.state.height_of(node)
        # BOLT 4: MUST return an error if incoming `amount_msat` < `amt_to_forward`,
        # or incoming `cltv_expiry` < `outgoing_cltv_value`.
        if self.cltv_expiry < hop.cltv_expiry:
            self._blame(failure(FailCode.FINAL_INCORRECT_CLTV_EXPIRY, cltv_expiry=self.cltv_expiry))
            return
        if self.amount_msat < hop.amount_msat:
            self._blame(failure(FailCode.FINAL_INCORRECT_HTLC_AMOUNT, htlc_msat=self.amount_msat))
            return
        invoice = self.state.invoices.get(self.payment_hash)
        if invoice is None or invoice.node != node.id:
            self._blame(unknown_details(self.amount_msat, height))
            return
        receive(self.state.clock, invoice, self, self.final, height, self.state.mpp_timeout_s)

    def settle(self, preimage: bytes) -> None:
        """The recipient's verdict: paid."""
        self._return(Settled(preimage))

    def fail(self, message: bytes) -> None:
        """The recipient's verdict: refused, with this failure message."""
        self._blame(message)

    # Back.

    @property
    def parked(self) -> bool:
        """Whether a node sits on it, before or on the way back over the last channel still locked."""
        return any(self.htlc_id in node.parked for node in self.locks[-1][0].nodes)

    @property
    def locked_until(self) -> int:
        """The height at which the last HTLC still locked times out."""
        channel, _ = self.locks[-1]
        return channel.htlcs[(self.htlc_id, len(self.locks) - 1)].cltv_expiry

    def expire(self) -> None:
        """The HTLC ran out of blocks where it is held, and the chain decides.

        The channel closes. If the preimage was on its way back it shows on the chain and the node before has
        it; otherwise that node takes its money back and answers permanent_channel_failure.
        """
        channel, _ = self.locks[-1]
        for node in channel.nodes:
            node.parked.pop(self.htlc_id, None)
        settled = isinstance(self.outcome, Settled)
        self.at -= 1
        self._unlock_last(settled)
        self.state.close_channel(channel)
        if settled:
            self._travel_back()
        else:
            self._blame(failure(FailCode.PERMANENT_CHANNEL_FAILURE))

    def _node(self) -> SimPeer:
        """The node that has the HTLC."""
        if self.at == 0:
            return self.source
        channel, direction = self.locks[self.at - 1]
        return channel.nodes[1 - direction]

    def _blame(self, message: bytes) -> None:
        """The node that has the HTLC refuses it; the blame is laid as lightningd lays it."""
        code = int.from_bytes(message[:2], "big")
        if self.at == 0:
            hop = self.hops[0]
            self._return(
                Failed(0, self.source.id, hop.scid, direction_of(self.source.id, hop.node), code, b"", "timed out")
            )
            return
        blamed = min(self.at, len(self.hops) - 1)
        start: NodeId = self.hops[blamed - 1].node if blamed else self.source.id
        hop = self.hops[blamed]
        node = hop.node if code & BADONION else self.hops[self.at - 1].node
        outcome = Failed(self.at, node, hop.scid, direction_of(start, hop.node), code, message)
        garbles = self._node().faults
        if garbles is not None and garbles.unparsable:
            self._return(Unparsable(self.state.noise(ONION_REPLY_BYTES)))
        else:
            self._return(outcome)

    def _return(self, outcome: HtlcOutcome) -> None:
        self.outcome = outcome
        self._travel_back()

    def _travel_back(self) -> None:
        """Start over the last channel still locked, or end at the sender."""
        if self.at == 0:
            self.state.clock.call_later(0.0, self._finish)
            return
        channel, _ = self.locks[self.at - 1]
        delay_s = channel.latency_s + self._node().latency_s
        self.state.clock.call_later(self.state.jittered(delay_s), self._step_back)

    def _step_back(self) -> None:
        """The answer reaches the node before, once both ends can talk; the amount in between is unlocked."""
        channel, _ = self.locks[self.at - 1]
        for node in channel.nodes:
            if _stuck(node.faults):
                node.parked[self.htlc_id] = self._step_back
                return
        self.at -= 1
        self._unlock_last(settled=isinstance(self.outcome, Settled))
        if self.at == 0:
            self._finish()
            return
        faults = self._node().faults
        if faults is not None and faults.unparsable and isinstance(self.outcome, Failed):
            self.outcome = Unparsable(self.state.noise(ONION_REPLY_BYTES))
        self._travel_back()

    def _unlock_last(self, settled: bool) -> None:
        channel, _ = self.locks.pop()
        channel.remove((self.htlc_id, len(self.locks)), settled)

    def _finish(self) -> None:
        assert self.outcome is not None
        self.done(self.outcome)


def _stuck(faults: Faults | None) -> bool:
    return faults is not None and (faults.silent or faults.offline)


_LOCAL_REASONS: dict[Refusal, tuple[FailCode, str]] = {
    Refusal.CAPACITY: (
        FailCode.TEMPORARY_CHANNEL_FAILURE,
        "WIRE_TEMPORARY_CHANNEL_FAILURE: Capacity exceeded - HTLC fee: 0sat",
    ),
    Refusal.TOO_MANY_HTLCS: (
        FailCode.TEMPORARY_CHANNEL_FAILURE,
        "WIRE_TEMPORARY_CHANNEL_FAILURE: Too many HTLCs",
    ),
    Refusal.BELOW_MINIMUM: (
        FailCode.AMOUNT_BELOW_MINIMUM,
        "WIRE_AMOUNT_BELOW_MINIMUM: HTLC too small (0msat minimum)",
    ),
}
"""What lightningd's channeld answers after `sendpay` has succeeded: failure code and words."""
