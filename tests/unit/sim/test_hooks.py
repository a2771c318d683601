"""The chain of a hook: who is asked, in which order, and when an order comes true."""

from __future__ import annotations

from pathlib import Path

from pay.sim.lightningd.plugins.hooks import Hooks
from pay.sim.lightningd.plugins.process import PluginProcess

Line = tuple[str, str, str]
DEFERRED = ("unusual", "plugin-late", "Deferring registration of hook rpc_command until it's not in use.")
UPDATED = ("unusual", "lightningd", "Updating hooks for rpc_command now usage is done.")


class Chains:
    """Hooks, and what they log."""

    def __init__(self, modern: bool = True):
        self.lines: list[Line] = []
        self.hooks = Hooks(modern, self.log)
        self._count = 0

    def log(self, *line: str) -> None:
        level, source, text = line
        self.lines.append((level, source, text))

    def add(self, name: str, **hook: object) -> PluginProcess:
        plugin = PluginProcess(Path("/plugins", name), lambda *_: None, lambda *_: None, lambda *_: None)
        plugin.index = self._count
        self._count += 1
        assert self.hooks.register(plugin, [{"name": "rpc_command", **hook}]) is None
        return plugin

    def wanting(self, method: str) -> list[str]:
        users = self.hooks.chain("rpc_command").users
        return [user.plugin.name for user in users if user is not None and user.wants(method)]


def test_users_by_filter_until_they_are_gone() -> None:
    chains = Chains()
    chains.add("first", filters=["pay", "sendpay"])
    second = chains.add("second")
    chains.add("third", filters=["pay"])
    assert chains.wanting("pay") == ["first", "second", "third"]
    assert chains.wanting("sendpay") == ["first", "second"]
    chains.hooks.withdraw(second)
    assert chains.wanting("pay") == ["first", "third"] and chains.wanting("getinfo") == []


def test_a_release_that_knows_no_filters_asks_of_everything() -> None:
    chains = Chains(modern=False)
    chains.add("one", filters=["pay"])
    assert chains.wanting("getinfo") == ["one"]


def test_a_hook_is_registered_once_and_by_a_name_that_there_is() -> None:
    chains = Chains()
    one = chains.add("one")
    assert chains.hooks.register(one, ["rpc_command"]) == "Registered for hook rpc_command multiple times"
    assert chains.hooks.register(one, ["nonsense"]) == "Unknown hook name nonsense"


def test_the_order_they_wish_by_name_or_path() -> None:
    chains = Chains()
    chains.add("one", after=["three"])
    chains.add("two", after=["/elsewhere/three"])
    chains.add("three", before=["/plugins/two"])
    assert chains.hooks.order("plugin-manager") == []
    assert chains.wanting("pay") == ["three", "one", "two"]
    assert chains.lines == [("debug", "plugin-two", "hook rpc_command after unknown plugin /elsewhere/three")]


def test_wishes_that_contradict_each_other() -> None:
    """There is no order; those who do not take part in the quarrel are not named."""
    chains = Chains()
    chains.add("zero")
    one, two = chains.add("one", before=["two"]), chains.add("two", before=["one"])
    assert chains.hooks.order("plugin-two") == [one, two]
    assert chains.wanting("pay") == ["zero", "one", "two"]


def test_an_order_waits_until_nobody_uses_the_hook() -> None:
    chains = Chains()
    chains.add("early")
    chain = chains.hooks.chain("rpc_command")
    chain.begin()
    chain.begin()
    late = chains.add("late", before=["early"])
    chains.hooks.order("plugin-late")
    assert (chains.wanting("pay"), chains.lines) == (["early", "late"], [DEFERRED])
    chain.end(chains.log)
    assert chains.wanting("pay") == ["early", "late"]
    chain.end(chains.log)
    assert (chains.wanting("pay"), chains.lines) == (["late", "early"], [DEFERRED, UPDATED])
    chains.hooks.withdraw(late)
    assert chains.wanting("pay") == ["early"]


def test_who_is_gone_is_not_in_the_order_that_waits_either() -> None:
    chains = Chains()
    early = chains.add("early")
    chains.hooks.chain("rpc_command").begin()
    chains.add("late", before=["early"])
    chains.hooks.order("plugin-late")
    chains.hooks.withdraw(early)
    chains.hooks.chain("rpc_command").end(chains.log)
    assert chains.wanting("pay") == ["late"]


def test_before_v25_12_no_order_waits() -> None:
    chains = Chains(modern=False)
    chains.add("early")
    chains.hooks.chain("rpc_command").begin()
    chains.add("late", before=["early"])
    chains.hooks.order("plugin-late")
    assert (chains.wanting("pay"), chains.lines) == (["late", "early"], [])
