"""A Lightning network in a box: nodes and channels with true balances, and HTLCs that find their way or do not.

The world knows what no node knows, and answers a sender only through outcomes of HTLCs, as the network does. It
runs on a clock (virtual in tests, real behind a simulated node), is the same every time for a seed, and misbehaves
where it is told to (`Faults`). It has no on-chain side but a height, and no onions.

Sources: BOLT 2 (reserve, HTLC limits), BOLT 4 (forwarding, errors, sets of parts), BOLT 7 (policies, directions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import count

from pay.network import Policy, RouteHint
from pay.sim.network import unsigned
from pay.sim.network.channel import DEFAULT_FEATURES, NO_ALIASES, SimChannel, SimPeer, default_policy
from pay.sim.network.clock import Clock
from pay.sim.network.encoding import keys
from pay.sim.network.faults import Faults
from pay.sim.network.flight import Flight
from pay.sim.network.htlc import FinalPayload, HtlcOutcome, WireHop
from pay.sim.network.invoices import FINAL_CLTV_BLOCKS, INVOICE_FEATURES, SimInvoice
from pay.sim.network.recipient import MPP_TIMEOUT_S, fail_parts, payment_problem, settle_parts, unknown_details
from pay.sim.network.state import NetworkState
from pay.units import NodeId, Scid


class World:
    """Nodes, channels, invoices and HTLCs, all in one place.

    Parameters
    ----------
    clock
        What time it is there; the world is used from the thread that drives it.
    seed
        Of keys, secrets, aliases and jitter.
    chain
        "bitcoin", "testnet", "testnet4", "signet" or "regtest".
    height
        Blocks that every node (but for its `extra_height`) has seen.
    latency_s
        Seconds an HTLC takes over a channel, forward and back, unless the channel says otherwise.
    jitter
        Share of a latency that chance adds, at most; 0 keeps concurrent HTLCs in step.
    non_strict
        Whether a forwarding node may use another channel to the same peer than the one named.
    mpp_timeout_s
        Seconds after which a recipient gives an incomplete set back.

    Attributes
    ----------
    state
        What is true now; the attributes that follow are its own.
    clock, seed, chain, nodes, channels, invoices, gossip_listeners
        As in `NetworkState`.
    block_listeners
        Called with the new height.
    """

    def __init__(
        self,
        clock: Clock,
        seed: int = 0,
        chain: str = "regtest",
        height: int = 1000,
        *,
        latency_s: float = 0.02,
        jitter: float = 0.0,
        non_strict: bool = True,
        mpp_timeout_s: float = MPP_TIMEOUT_S,
    ):
        state = NetworkState(clock, seed, chain, height, latency_s, jitter, non_strict, mpp_timeout_s)
        self.state = state
        self.clock = clock
        self.seed = seed
        self.chain = chain
        self.nodes = state.nodes
        self.channels = state.channels
        self.invoices = state.invoices
        self.gossip_listeners = state.gossip_listeners
        self.block_listeners: list[Callable[[int], None]] = []
        self._flights: dict[int, Flight] = {}
        self._htlc_ids = count(1)

    @property
    def height(self) -> int:
        """Blocks that every node (but for its `extra_height`) has seen."""
        return self.state.height

    # Nodes and channels.

    def add_node(
        self,
        name: str | None = None,
        *,
        node_id: NodeId | None = None,
        features: int = DEFAULT_FEATURES,
        latency_s: float = 0.0,
    ) -> SimPeer:
        """A new node. With `node_id` its key is unknown: it can be paid by hash, but writes no invoices.

        Raises
        ------
        ValueError
            If there is such a node already.
        """
        name = f"node{len(self.nodes)}" if name is None else name
        secret = None
        if node_id is None:
            secret = keys.node_secret(self.seed, name)
            node_id = keys.node_id(secret)
        if node_id in self.nodes:
            raise ValueError(f"node {name} ({node_id.hex()}) is there already")
        node = SimPeer(node_id, name, features, latency_s, secret)
        self.nodes[node_id] = node
        return node

    def add_channel(
        self,
        a: NodeId,
        b: NodeId,
        capacity_msat: int,
        balance_a_msat: int | None = None,
        *,
        policy_ab: Policy | None = None,
        policy_ba: Policy | None = None,
        announced: bool = True,
        scid: Scid | None = None,
        latency_s: float | None = None,
    ) -> SimChannel:
        """A new open channel between `a` and `b`; half of it on each side unless said otherwise.

        Policies default to lightningd's own; gossip is true until `set_policy` says otherwise. An unannounced
        channel gets an alias for each end, and others may forward over it by alias only (option_scid_alias).

        Raises
        ------
        ValueError
            For a balance that it does not hold, an scid in use, or a channel with oneself.
        """
        balance_msat = capacity_msat // 2 if balance_a_msat is None else balance_a_msat
        if not 0 <= balance_msat <= capacity_msat:
            raise ValueError(f"a balance of {balance_msat} msat in a channel of {capacity_msat} msat")
        names = self.state.names
        scid = names.new_scid() if scid is None else scid
        if a == b or names.taken(scid):
            raise ValueError(f"channel {scid} is there already, or leads back to its own node")
        if policy_ab is None or policy_ba is None:
            default = default_policy(capacity_msat)
            policy_ab, policy_ba = policy_ab or default, policy_ba or default
        swapped = b < a
        nodes = (self.nodes[b], self.nodes[a]) if swapped else (self.nodes[a], self.nodes[b])
        channel = SimChannel(
            scid,
            nodes,
            capacity_msat,
            capacity_msat - balance_msat if swapped else balance_msat,
            (policy_ba, policy_ab) if swapped else (policy_ab, policy_ba),
            announced,
            NO_ALIASES if announced else names.new_aliases(scid),
            self.state.latency_s if latency_s is None else latency_s,
        )
        names.add(channel)
        for node in nodes:
            node.channels.append(channel)
        self.state.tell(channel, None)
        return channel

    def find_channel(self, scid: Scid, start: NodeId, *, own: bool = False) -> SimChannel | None:
        """See `NetworkState.find_channel`."""
        return self.state.find_channel(scid, start, own=own)

    def parallel(self, channel: SimChannel) -> Sequence[SimChannel]:
        """All channels between the same two nodes, this one included."""
        return self.state.parallel(channel)

    def close_channel(self, channel: SimChannel) -> None:
        """No HTLC can be added any more; those inside are answered still."""
        self.state.close_channel(channel)

    def set_policy(self, channel: SimChannel, start: NodeId, policy: Policy, *, gossip: bool = True) -> None:
        """What `start` asks from now on; without `gossip` nobody is told, and gossip is stale.

        The timestamp is set so that it is newer than the one before.
        """
        direction = channel.side(start)
        newer = max(int(self.clock.now()), channel.policies[direction].timestamp + 1)
        channel.policies[direction] = replace(policy, timestamp=newer)
        if gossip:
            channel.gossiped[direction] = channel.policies[direction]
            self.state.tell(channel, direction)

    # Paying.

    def send(
        self,
        source: NodeId,
        hops: Sequence[WireHop],
        payment_hash: bytes,
        final: FinalPayload,
        done: Callable[[HtlcOutcome], None],
    ) -> int:
        """Offer one HTLC; `done` is called once with its outcome, later, if it ever gets one.

        Returns the number of the HTLC, unique in this world.

        Raises
        ------
        LocalFailure
            Where lightningd's `sendpay` would fail at once; `done` is not called then.
        ValueError
            Without hops.
        """
        if not hops:
            raise ValueError("a route needs at least one hop")
        htlc_id = next(self._htlc_ids)

        def over(outcome: HtlcOutcome) -> None:
            self._flights.pop(htlc_id, None)
            done(outcome)

        flight = Flight(self.state, htlc_id, self.nodes[source], hops, payment_hash, final, over)
        flight.launch()
        self._flights[htlc_id] = flight
        return htlc_id

    def pay_self(self, node: NodeId, payment_hash: bytes, amount_msat: int, payment_secret: bytes | None) -> bytes:
        """What `sendpay` with a route of no hops does: settle an invoice of one's own at once.

        Returns the preimage.

        Raises
        ------
        ValueError
            In lightningd's words, if the invoice cannot be paid so (203, incorrect_or_unknown_payment_details).
        """
        invoice = self.invoices.get(payment_hash)
        invoice = invoice if invoice is not None and invoice.node == node else None
        problem = payment_problem(self.clock.now(), invoice, payment_hash, amount_msat, payment_secret)
        if invoice is None or problem is not None:
            raise ValueError(problem)
        invoice.paid_at, invoice.received_msat = int(self.clock.now()), amount_msat
        return invoice.preimage

    @property
    def in_flight(self) -> int:
        """HTLCs without an outcome."""
        return len(self._flights)

    def create_invoice(
        self,
        node: NodeId,
        amount_msat: int | None,
        description: str | None = "",
        *,
        expiry: int = 3600,
        hints: Iterable[RouteHint] = (),
        final_cltv: int | None = None,
        metadata: bytes | None = None,
        features: int = INVOICE_FEATURES,
        hold: bool = False,
        secret: bool = True,
        created_at: int | None = None,
        description_hash: bytes | None = None,
        preimage: bytes | None = None,
    ) -> SimInvoice:
        """A new invoice of `node`, which settles its HTLCs from now on.

        Parameters
        ----------
        expiry
            Seconds after `created_at` (now, unless given).
        final_cltv
            Blocks that an HTLC must have left when it arrives; lightningd's default for the chain unless given.
        metadata
            Bytes that every payment must bring along; `features` should then have bit 48 or 49.
        secret
            Whether it has a payment_secret; without one a single HTLC must pay it.
        hold
            Keep the money waiting until `release_invoice` or `cancel_invoice`.

        Raises
        ------
        ValueError
            If an invoice with this preimage is there already.
        """
        number = len(self.invoices)
        preimage = keys.derive(self.seed, "preimage", number) if preimage is None else preimage
        payment_hash = sha256(preimage).digest()
        if payment_hash in self.invoices:
            raise ValueError(f"there is an invoice with payment_hash {payment_hash.hex()} already")
        invoice = SimInvoice(
            node=self.nodes[node].id,
            amount_msat=amount_msat,
            description=None if description_hash is not None else description,
            description_hash=description_hash,
            preimage=preimage,
            payment_hash=payment_hash,
            payment_secret=keys.derive(self.seed, "payment_secret", payment_hash) if secret else None,
            created_at=int(self.clock.now()) if created_at is None else created_at,
            expiry_s=expiry,
            final_cltv=FINAL_CLTV_BLOCKS.get(self.chain, 10) if final_cltv is None else final_cltv,
            features=features,
            metadata=metadata,
            hints=tuple(hints),
            hold=hold,
            encode=lambda invoice: unsigned.encode(self.state, invoice),
        )
        self.invoices[payment_hash] = invoice
        return invoice

    def release_invoice(self, invoice: SimInvoice) -> None:
        """Hold it no longer: settle it now if all its parts are there, otherwise when they are."""
        invoice.hold = False
        if invoice.complete:
            settle_parts(self.clock, invoice)

    def cancel_invoice(self, invoice: SimInvoice) -> None:
        """Refuse what waits for it, and whatever comes."""
        invoice.cancelled = True
        self._give_back(invoice)

    # Time and trouble.

    def mine(self, n: int = 1) -> None:
        """`n` more blocks. HTLCs that ran out where a node sits on them fail back, and that channel closes."""
        self.state.height += n
        for flight in list(self._flights.values()):
            if flight.at and flight.locked_until <= self.height:
                if flight.parked:
                    flight.expire()
                elif (invoice := self.invoices.get(flight.payment_hash)) and flight in invoice.parts:
                    # A recipient gives back what it holds before a channel has to close over it.
                    self._give_back(invoice)
        for listener in self.block_listeners:
            listener(self.height)

    def set_faults(self, node: NodeId, faults: Faults | None) -> None:
        """Let a node misbehave so from now on, or behave; what it sat on and now would not goes on."""
        peer = self.nodes[node]
        peer.faults = faults
        self.resume(peer)

    def set_channel_faults(self, channel: SimChannel, start: NodeId, faults: Faults | None) -> None:
        """The same for one direction of a channel, the one away from `start`."""
        channel.faults[channel.side(start)] = faults
        for peer in channel.nodes:
            self.resume(peer)

    def resume(self, peer: SimPeer) -> None:
        """Let a node take up what it sat on (it is put aside again if its faults are the same)."""
        parked, peer.parked = peer.parked, {}
        for act in parked.values():
            self.clock.call_later(0.0, act)

    def _give_back(self, invoice: SimInvoice) -> None:
        height = self.state.height_of(self.nodes[invoice.node])
        fail_parts(invoice, lambda part: unknown_details(part.amount_msat, height))
