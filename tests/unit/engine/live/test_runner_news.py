"""What the host tells of parts reaches the payment that they are of, and no other; the node is that of
test_runner_crash.py.

Our payment is group 1 of its hash, and its part 1 is out. Another sender on this node has a group of its own, and
numbers its parts as we do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pay.payment import events as ev
from pay.payment.states import AttemptStatus, State
from tests.support.engine.runner import Scene
from tests.support.payments import PREIMAGE
from tests.support.waiting import played, soon, turns

HASH = bytes([3]) * 32
OTHERS = bytes([4]) * 32


def play(story: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    async def playing() -> None:
        await story(Scene())

    played(playing())


def success(**more: Any) -> dict[str, Any]:
    """A `sendpay_success` of our part, or of what `more` says."""
    return {
        "payment_hash": HASH.hex(), "groupid": 1, "partid": 1, "payment_preimage": PREIMAGE.hex(),
        "created_at": 700, **more,
    }  # fmt: skip


def failure(**more: Any) -> dict[str, Any]:
    """A `sendpay_failure`: d does not know the payment."""
    data = {
        "payment_hash": HASH.hex(), "groupid": 1, "partid": 1, "erring_index": 4, "failcode": 0x400F,
        "created_at": 700, **more,
    }  # fmt: skip
    return {"code": 203, "message": "refused", "data": data}


def test_our_part_settles() -> None:
    async def story(scene: Scene) -> None:
        running, caller = await scene.out(HASH)
        scene.runner.sendpay_success(success())
        answer = await soon(caller.answer)
        assert answer == ev.Paid(PREIMAGE, 100_000, 103_000, 1, incomplete=False)
        assert running.created_at_s == 700 and scene.heard[-1] == "pay_success"

    play(story)


def test_our_part_fails() -> None:
    async def story(scene: Scene) -> None:
        scene.runner.block_added(800_000)
        running, caller = await scene.out(HASH)
        scene.runner.block_added(800_005)
        scene.runner.sendpay_failure(failure())
        answer = await soon(caller.answer)
        assert isinstance(answer, ev.NotPaid) and answer.error.code == 203
        (failed,) = running.session.failures
        assert (failed.partid, failed.failure.erring_index, failed.failure.failcode) == (1, 4, 0x400F)
        assert running.created_at_s == 700 and running.sent_height(1) == 800_000

    play(story)


@pytest.mark.parametrize("groupid", [2, 0, None])
def test_a_part_of_another_group_settles(groupid: int | None) -> None:
    """The invoice is paid, and not by us: ours adds nothing, its part is not taken for paid, and the answer is
    looked for in the table once it is over."""

    async def story(scene: Scene) -> None:
        running, caller = await scene.out(HASH)
        told = success(groupid=groupid)
        if groupid is None:
            del told["groupid"]
        scene.runner.sendpay_success(told)
        assert running.session.state is State.DRAINING_FAILED
        assert running.session.attempts[1].status is AttemptStatus.INFLIGHT
        assert running.created_at_s != 700 and not caller.answer.done()
        scene.runner.sendpay_failure(failure())
        answer = await soon(caller.answer)
        assert answer == ev.Elsewhere(f"group {groupid or 0} of this hash was paid")
        assert "pay_failure" not in scene.heard and scene.register.live == {}

    play(story)


@pytest.mark.parametrize("other", [{"groupid": 2}, {"groupid": 0}, {"payment_hash": OTHERS.hex()}, {"partid": 2}])
def test_a_part_of_somebody_else_fails(other: dict[str, Any]) -> None:
    """Under our number, or under none of ours: our own part is out as before."""

    async def story(scene: Scene) -> None:
        running, caller = await scene.out(HASH)
        scene.runner.sendpay_failure(failure(**other))
        assert running.session.state is State.IN_FLIGHT and running.session.failures == []
        assert running.session.attempts[1].status is AttemptStatus.INFLIGHT
        scene.runner.sendpay_success(success(payment_hash=OTHERS.hex()))
        assert not caller.answer.done() and running.session.result is None
        scene.runner.sendpay_success(success())
        assert isinstance(await soon(caller.answer), ev.Paid)

    play(story)


def test_news_of_nothing() -> None:
    """Without a hash, and of a hash that nobody pays."""

    async def story(scene: Scene) -> None:
        await scene.out(HASH)
        scene.runner.sendpay_failure({"code": -1, "message": "failed"})
        scene.runner.sendpay_failure({"code": -1, "message": "failed", "data": None})
        scene.runner.sendpay_success(success(payment_hash=OTHERS.hex()))
        assert list(scene.register.live) == [HASH] and "pay_success" not in scene.heard

    play(story)


@pytest.mark.parametrize(("groupid", "aloud"), [(1, True), (0, True), (2, False)])
def test_paid_after_its_callers_were_told_that_it_is_not(
    groupid: int, aloud: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A part of it, or of a try before it: that must be heard. A later group is another sender's own success."""

    async def story(scene: Scene) -> None:
        _, caller = await scene.out(HASH)
        scene.runner.sendpay_failure(failure())
        assert isinstance(await soon(caller.answer), ev.NotPaid)
        scene.runner.sendpay_success(success(groupid=groupid))
        assert (scene.heard[-1] == "pay_success") is aloud

    with caplog.at_level(logging.WARNING, "pay"):
        play(story)
    said = [record.message.split()[0] for record in caplog.records if record.name == "pay"]
    assert said == (["payment_paid_after_error"] if aloud else [])


def test_heights_only_grow() -> None:
    """d is two blocks ahead; a block that is told late is no block, and the part goes out again once."""

    async def story(scene: Scene) -> None:
        scene.runner.block_added(800_000)
        running, _ = await scene.out(HASH)
        ahead = failure()
        ahead["data"]["raw_message"] = (0x400F).to_bytes(2, "big").hex() + f"{100_000:016x}{800_002:08x}"
        scene.runner.sendpay_failure(ahead)
        assert running.session.state is State.WAITING_HEIGHT and running.height_wanted == 800_002
        scene.runner.block_added(800_001)
        assert running.session.state is State.WAITING_HEIGHT
        scene.runner.block_added(800_002)
        assert running.height_wanted is None
        await turns(lambda: len(running.session.attempts) >= 2)
        scene.runner.block_added(799_000)
        later, _ = await scene.out(OTHERS)
        assert running.sent_height(2) == later.sent_height(1) == 800_002

    play(story)
