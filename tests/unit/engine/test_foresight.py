"""The first plan of a payment is made beside its approval, and is used only where nothing has changed since."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pay.engine.foresight import Foresight
from pay.engine.live import routes
from pay.engine.preparation import Preparation
from pay.errors import PayError
from pay.host.calls import ListedChannel
from pay.network.hints import OwnChannel
from pay.payment.settings import Settings, Shadow
from pay.payment.terms import Terms
from pay.routing.query import NoRoute, NoRouteReason
from tests.support.engine.paying import Scene, play
from tests.support.payments import PREIMAGE, node, scid


class Signer:
    """A node's approval that somebody gives or refuses, and what is planned meanwhile."""

    def __init__(self, scene: Scene):
        self.host: Any = scene.host
        self.asked, self.approved = asyncio.Event(), asyncio.Event()
        self.refusal: PayError | None = None
        self.plans: list[Any] = []
        self.find = self.host.find
        self.host.preapprove, self.host.find = self.preapprove, self.plan
        us, register = node("us"), scene.register
        ahead = Foresight(self.host, self.host, scene.runner.own, register)
        scene.paying._preparation = Preparation(self.host, us, register, self.host, self.host, Settings, ahead)

    async def preapprove(self, *_: Any, **__: Any) -> None:
        self.asked.set()
        await self.approved.wait()
        if self.refusal is not None:
            raise self.refusal

    async def plan(self, asked: Any) -> Any:
        self.plans.append(asked)
        return await self.find(asked)

    async def planned(self, scene: Scene) -> None:
        """Wait until it is asked, and a plan was made."""
        await self.asked.wait()
        await scene.until(lambda: self.plans)
        for _ in range(10):
            await asyncio.sleep(0)


async def paid(scene: Scene, call: asyncio.Task[Any]) -> None:
    await scene.until(lambda: scene.host.orders)
    scene.settles()
    assert (await call).paid.preimage == PREIMAGE


def test_planned_before_the_approval_and_sent_after_it() -> None:
    """One plan for one payment, and no order as long as nobody has approved."""

    async def story(scene: Scene) -> None:
        signer = Signer(scene)
        call = scene.call()
        await signer.planned(scene)
        assert scene.host.orders == [] and not scene.register.live
        signer.approved.set()
        await paid(scene, call)
        assert len(signer.plans) == 1

    play(story)


def test_what_is_declined_was_only_thought_of() -> None:
    async def story(scene: Scene) -> None:
        signer = Signer(scene)
        signer.refusal = PayError(213, "declined")
        call = scene.call()
        await signer.planned(scene)
        signer.approved.set()
        with pytest.raises(PayError, match="declined"):
            await call
        assert scene.host.orders == [] and not scene.register.in_work()

    play(story)


def test_an_approval_that_takes_long_makes_the_plan_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "FRESH_S", 0.0)

    async def story(scene: Scene) -> None:
        signer = Signer(scene)
        call = scene.call()
        await signer.planned(scene)
        signer.approved.set()
        await paid(scene, call)
        assert len(signer.plans) == 2 and signer.plans[0] == signer.plans[1]

    play(story)


def test_a_part_of_another_payment_has_begun_meanwhile() -> None:
    """What it holds is not promised twice: the plan is made again."""

    async def story(scene: Scene) -> None:
        signer = Signer(scene)
        call = scene.call()
        await signer.planned(scene)
        scene.register.out.changes += 1
        signer.approved.set()
        await paid(scene, call)
        assert len(signer.plans) == 2

    play(story)


def test_channels_that_were_listed_a_while_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planner was busy with something else, and our peer came back meanwhile: that is seen."""
    monkeypatch.setattr(routes, "FRESH_S", 0.05)

    async def story(scene: Scene) -> None:
        signer, planner = Signer(scene), asyncio.Event()
        connected, routes = [False], scene.host.plan

        async def own_channels(_us: bytes) -> list[Any]:
            return [_channel()] if connected[0] else []

        async def find(asked: Any) -> Any:
            return routes if asked.own else NoRoute(NoRouteReason.NO_OWN_CHANNELS, "none is connected")

        async def shadowed(terms: Terms, *_: Any) -> Terms:
            await planner.wait()
            return terms

        signer.find, signer.host.own_channels, signer.host.shadowed = find, own_channels, shadowed
        signer.approved.set()
        call = scene.call()
        await signer.asked.wait()
        await asyncio.sleep(0.06)
        connected[0] = True
        planner.set()
        await paid(scene, call)
        assert [len(asked.own) for asked in signer.plans] == [0, 1]

    play(story)


def _channel() -> ListedChannel:
    return ListedChannel(OwnChannel(scid(1), 0, node("a"), 10**9, 0, 1, 10**9, 483, 0, True, False))


def test_a_shadow_that_was_switched_off_meanwhile() -> None:
    async def story(scene: Scene) -> None:
        signer, chosen = Signer(scene), [Settings(shadow=Shadow.DELAY)]

        async def shadowed(terms: Terms, _recipient: Any, kind: Shadow, _out: Any) -> Terms:
            return terms if kind is Shadow.OFF else terms.with_shadow(77, 0)

        signer.host.shadowed = shadowed
        scene.paying._preparation._settings = lambda: chosen[0]
        call = scene.call()
        await signer.planned(scene)
        chosen[0] = Settings(shadow=Shadow.OFF)
        signer.approved.set()
        await scene.until(lambda: scene.host.orders)
        (running,) = scene.register.live.values()
        assert running.session.terms.shadow_blocks == 0
        await paid(scene, call)

    play(story)


@pytest.mark.parametrize(("behind", "plans"), [(0, 1), (3, 2)])
def test_the_first_payment_after_a_long_pause_is_foreseen(behind: int, plans: int) -> None:
    """How far the host is behind the chain has to be asked anew: that it is not is taken for granted till then."""

    async def story(scene: Scene) -> None:
        signer = Signer(scene)

        async def blocks_behind() -> int:
            await signer.approved.wait()
            return behind

        signer.host.known_behind, signer.host.blocks_behind = lambda: None, blocks_behind
        call = scene.call()
        await signer.planned(scene)
        assert len(signer.plans) == 1
        signer.approved.set()
        await paid(scene, call)
        assert len(signer.plans) == plans

    play(story)


def test_of_two_at_once_the_second_is_not_foreseen() -> None:
    """It would be void as soon as the first one sends."""

    async def story(scene: Scene) -> None:
        signer = Signer(scene)
        first = scene.call()
        await signer.planned(scene)
        (beginning,) = scene.register.in_work()
        ahead, terms = scene.paying._preparation._foresight, beginning.session.terms
        assert ahead is not None and not ahead.idle(terms.payment_hash)
        signer.approved.set()
        await paid(scene, first)

    play(story)


def test_a_plan_that_breaks_costs_nothing() -> None:
    """The error is in the log, and the payment is planned as all others are."""

    async def story(scene: Scene) -> None:
        signer = Signer(scene)
        find, signer.find = signer.find, broken
        call = scene.call()
        await signer.planned(scene)
        signer.find = find
        signer.approved.set()
        await paid(scene, call)
        assert len(signer.plans) == 2

    play(story)


async def broken(_: Any) -> Any:
    raise ZeroDivisionError("a bug")
