"""The box brings about what is hard for a payer: the real plugin is in it, and the money is where it should be.

What the plugin answers in these moments is the matter of other files; here it is only shown that they come.
"""

from __future__ import annotations

from pathlib import Path

from pay.sim.network.encoding.failures import FailCode
from pay.sim.network.liars import Claim, Liar, Lie
from tests.support.box.host import SAT, hosting
from tests.support.box.restarts import OPTIONS, left_in_a_hook

AMOUNT_MSAT = 100_000 * SAT


def test_a_sendpay_in_a_slow_hook_outlives_the_plugin(tmp_path: Path) -> None:
    """The plugin is dead, its part is in nobody's table: then the hook lets it through, and it is paid."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = left_in_a_hook(host)
        assert host.rows(made) == [] and made.paid_at is None
        assert host.let_go("sendpay") == 1
        host.settled(made)
        assert [row["status"] for row in host.rows(made)] == ["complete"]


def test_a_signer_that_hangs_for_one_invoice(tmp_path: Path) -> None:
    with hosting(tmp_path, **OPTIONS) as host:
        stuck, other = host.invoice(), host.invoice()
        with host.faults(hold_if={"preapproveinvoice": lambda params: params["bolt11"] == stuck.bolt11}):
            pending = host.pay_soon(stuck)
            host.until(lambda: host.node.dispatcher.held)
            assert host.pay(other).ok()["status"] == "complete"
            assert not pending.answered and host.rows(stuck) == []
        host.let_go()
        assert pending.answer().ok()["status"] == "complete"


def test_another_sender_is_between_two_tries_while_ours_waits_for_it(tmp_path: Path) -> None:
    """far holds the other's first part; ours, which has no way of its own, waits; the other's next one pays."""
    with hosting(tmp_path, **OPTIONS) as host:
        made = host.invoice(hold=True)
        other = host.other_sender(made, groupid=7)
        other.send()
        host.until(lambda: made.parts)
        mark = host.mark()
        pending = host.pay_soon(made, maxfee=0)
        host.until(lambda: "listsendpays" in host.methods(mark))
        assert not pending.answered
        made.hold = False
        host.give_back(made)
        assert other.outcome() == "failed"
        other.send()
        assert other.outcome() == "complete"
        assert pending.answer().ok()
        assert [(row["groupid"], row["partid"], row["status"]) for row in host.rows(made)] == [
            (7, 1, "failed"), (7, 2, "complete"),
        ]  # fmt: skip


def test_a_forwarder_that_asks_a_msat_more_each_time(tmp_path: Path) -> None:
    """hub is the cheap way; every refusal brings a policy that the HTLC at hand would not have met."""
    liar = Liar([Lie(FailCode.FEE_INSUFFICIENT, Claim.DEARER)])
    with hosting(tmp_path, **OPTIONS) as host, host.misbehaving("hub", liar=liar):
        made = host.invoice()
        host.pay(made, retry_for=2)
        assert liar.told >= 1
        failures = [row for row in host.rows(made) if row["status"] == "failed"]
        assert len(failures) == liar.told
