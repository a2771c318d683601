"""The chain of a hook: who is asked, in which order, and who decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pay.sim.lightningd.plugins.hooks import Continue, Hooks, Replace, Return, Verdict, decide
from pay.sim.lightningd.plugins.process import PluginProcess
from pay.sim.lightningd.rpc.command import Command
from tests.support.waiting import played

GETINFO = Command(None, {"id": 1, "method": "getinfo", "params": {}})


@dataclass
class Said:
    """A link that says this, and notes that it was asked."""

    verdict: Verdict
    asked: list[Verdict] = field(default_factory=list)

    def wants(self, command: Command) -> bool:
        return True

    async def ask(self, command: Command) -> Verdict:
        self.asked.append(self.verdict)
        return self.verdict


def decided(*verdicts: Verdict) -> tuple[Verdict, Sequence[bool]]:
    """What comes of it, and who was asked."""
    links = [Said(verdict) for verdict in verdicts]
    return played(decide(links, GETINFO)), [bool(link.asked) for link in links]


def test_the_first_that_does_not_go_on_decides() -> None:
    mine, other = Return({"result": {"mine": 1}}), Replace({"method": "listpeers", "params": {}})
    assert decided() == (Continue(), [])
    assert decided(Continue(), Continue()) == (Continue(), [True, True])
    assert decided(Continue(), mine, other) == (mine, [True, True, False])
    assert decided(other, mine) == (other, [True, False])


def plugin(name: str) -> PluginProcess:
    return PluginProcess(Path("/plugins", name), lambda *_: None, lambda *_: None, lambda *_: None)


def wanting(hooks: Hooks, method: str) -> list[str]:
    return [user.plugin.name for user in hooks.users("rpc_command") if user.wants(method)]


def test_users_in_the_order_of_registration_and_by_filter() -> None:
    first, second, third = plugin("first"), plugin("second"), plugin("third")
    hooks = Hooks(filtering=True)
    assert hooks.register(first, [{"name": "rpc_command", "filters": ["pay", "sendpay"]}]) is None
    assert hooks.register(second, ["rpc_command"]) is None
    assert hooks.register(third, [{"name": "rpc_command", "filters": ["pay"]}, "custommsg"]) is None
    assert wanting(hooks, "pay") == ["first", "second", "third"]
    assert wanting(hooks, "sendpay") == ["first", "second"]
    hooks.withdraw(second)
    assert wanting(hooks, "pay") == ["first", "third"] and wanting(hooks, "getinfo") == []


def test_a_release_that_knows_no_filters_asks_of_everything() -> None:
    hooks = Hooks(filtering=False)
    assert hooks.register(plugin("one"), [{"name": "rpc_command", "filters": ["pay"]}]) is None
    assert wanting(hooks, "getinfo") == ["one"]
