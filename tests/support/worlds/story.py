"""What a payment was allowed, and what it did: the values that tests of whole payments read."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from pay.commands.form.errors import error_data
from pay.feedback.failure import describe
from pay.payment import events as ev
from pay.payment.session import PaymentSession
from pay.payment.settings import PartLimits, Settings, Shadow
from pay.payment.terms import PayRequest
from pay.routing import Preferences, Route
from pay.sim.network.channel import SimChannel
from pay.sim.network.htlc import Failed, HtlcOutcome, LocalFailure, Settled, Unparsable
from pay.units import NodeId, ScidDir

_USUAL = Preferences()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a caller and the options may say of a payment.

    What nobody says is as `pay` has it, but for what would make a drawing hard to read: one part, which may be
    small, and nothing drawn by chance.
    """

    maxfeepercent: Decimal | None = None
    exemptfee_msat: int | None = None
    maxfee_msat: int | None = None
    retry_for_s: float = 60.0
    maxdelay: int = 2016
    riskfactor: float = 10.0
    failure_cost_msat: int = _USUAL.failure_cost_msat
    failure_cost_ppm: int = _USUAL.failure_cost_ppm
    part_cost_msat: int = _USUAL.part_cost_msat
    part_cost_ppm: int = _USUAL.part_cost_ppm
    max_parts: int = 1
    usual_parts: int = PartLimits().usual_parts
    min_part_msat: int = 0
    max_attempts: int = 100
    exclude_nodes: frozenset[NodeId] = frozenset()
    exclude_channels: frozenset[ScidDir] = frozenset()
    seed: int = 0
    randomness: float = 0.0
    second_cost_msat: int = 0
    shadow: Shadow = Shadow.OFF
    partial_msat: int | None = None

    def request(self, amount_msat: int | None) -> PayRequest:
        """The call of `pay`; `amount_msat` for an invoice that leaves it to us."""
        return PayRequest(
            "",
            amount_msat=amount_msat,
            riskfactor=Decimal(self.riskfactor),
            maxfeepercent=self.maxfeepercent,
            exemptfee_msat=self.exemptfee_msat,
            maxfee_msat=self.maxfee_msat,
            retry_for_s=self.retry_for_s,  # type: ignore[arg-type]
            maxdelay_blocks=self.maxdelay,
            exclude_nodes=self.exclude_nodes,
            exclude_channels=self.exclude_channels,
            partial_msat=self.partial_msat,
        )

    @property
    def settings(self) -> Settings:
        """The options of the plugin."""
        preferences = Preferences(
            failure_cost_msat=self.failure_cost_msat,
            failure_cost_ppm=self.failure_cost_ppm,
            part_cost_msat=self.part_cost_msat,
            part_cost_ppm=self.part_cost_ppm,
            second_cost_msat=self.second_cost_msat,
            min_part_msat=self.min_part_msat,
            randomness=self.randomness,
        )
        parts = PartLimits(
            usual_parts=self.usual_parts,
            max_parts=self.max_parts,
            max_attempts=self.max_attempts,
            parts_option="pay-max-parts" if self.max_parts < 100 else None,
            attempts_option="pay-max-attempts",
        )
        return Settings(preferences, parts, self.shadow)


DEFAULTS = Limits()


@dataclass(slots=True)
class Part:
    """One part as it went: `outcome` is None while it is out, a `LocalFailure` where the host never sent it."""

    partid: int
    route: Route
    sent_s: float
    """Seconds after the payment began."""
    ended_s: float | None = None
    outcome: HtlcOutcome | LocalFailure | None = None
    names: tuple[str, ...] = ()
    """Nodes of the route, ours first."""
    channels: tuple[SimChannel, ...] = ()
    sent_height: int = 0

    @property
    def path(self) -> str:
        """`A>B>D`."""
        return ">".join(self.names)

    @property
    def told(self) -> str:
        """What became of it in words: `paid`, or what failed and who said so."""
        match self.outcome:
            case None:
                return "out"
            case Settled():
                return "paid"
            case Unparsable():
                return "unreadable"
            case LocalFailure():
                return f"not sent: {self.outcome.text}"
            case Failed(0):
                return f"not sent: {self.outcome.local_reason}"
            case Failed(index, _, _, _, failcode):
                return f"{self.names[index]}: {describe(failcode)}"

    def __str__(self) -> str:
        return f"{self.path} {self.told}"


@dataclass(slots=True)
class Story:
    """All that a payment did, and how it ended."""

    session: PaymentSession
    parts: list[Part] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    """Names of our peers that were asked to connect."""
    result: ev.Result | None = None
    ended_s: float | None = None

    @property
    def paid(self) -> bool:
        return isinstance(self.result, ev.Paid)

    @property
    def code(self) -> int | None:
        """The error's code; None for a success."""
        return self.result.error.code if isinstance(self.result, ev.NotPaid) else None

    @property
    def reason(self) -> object:
        """The error's stable token for why there was no route."""
        assert isinstance(self.result, ev.NotPaid)
        return error_data(self.result.error).get("reason")

    @property
    def words(self) -> str:
        """The error's message."""
        assert isinstance(self.result, ev.NotPaid)
        return self.result.error.message

    @property
    def fee_msat(self) -> int:
        """What the caller reads: sent less delivered."""
        assert isinstance(self.result, ev.Paid)
        return self.result.sent_msat - self.result.amount_msat

    @property
    def lines(self) -> list[str]:
        """One line a part, in the order they were sent."""
        return [str(part) for part in self.parts]

    @property
    def paths(self) -> list[str]:
        return [part.path for part in self.parts]
