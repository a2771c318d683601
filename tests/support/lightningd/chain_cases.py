"""What a chain of `rpc_command` hooks does, played by puppets: the same assertions on the box and on lightningd.

hA, hB, hC are plugins with a hook on `foo`, which is the plugin owner's; a case begins its own node. `DEATHS` are
the ways in which a plugin ends a node: faults of lightningd, and so rules for ours.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from tests.support.lightningd.stages import Stage
from tests.support.puppets import CONTINUE, NEVER, Puppet, fails, replace_by, returns, says
from tests.support.waiting import result_of, until

MODERN = (25, 12)
"""From here on hooks have filters, and an order waits for the hook's users."""
MODIFIED = "rpc_command hook 'foo' already modified, ignoring."
DEFERRED = "Deferring registration of hook rpc_command until it's not in use."
UPDATED = "Updating hooks for rpc_command now usage is done."
GARBAGE = "Bad response to 'rpc_command' hook."
FREED_TWICE = "FATAL SIGNAL 6"


def _owner(stage: Stage, **more: Any) -> Puppet:
    """Whose method `foo` is."""
    return stage.puppet("owner", owns=["foo"], **more)


def _hook(stage: Stage, name: str, does: dict[str, Any] = CONTINUE, **more: Any) -> Puppet:
    """A hook on `foo`, with a method of its own to replace it by."""
    return stage.puppet(name, filters=["foo"], owns=[f"{name}-foo"], hook={"foo": does}, **more)


# --- who is asked ---------------------------------------------------------------------------------------------


def asked_in_the_order_they_wish(stage: Stage) -> None:
    """By before and after; who does not mind, by when it came. A name that nobody has is no harm."""
    hooks = [
        _hook(stage, "hA", after=["hC"]), _hook(stage, "hB"), _hook(stage, "hC", before=["hB", "nobody"]),
    ]  # fmt: skip
    play = stage.begin(_owner(stage), *hooks)
    assert play.call("foo").ok()["by"] == "owner"
    assert [hook.name for hook in sorted(hooks, key=Puppet.asked_at)] == ["hC", "hA", "hB"]
    assert play.lines("hook rpc_command before unknown plugin nobody")


def wishes_that_contradict_each_other(stage: Stage) -> None:
    """The later one is ended, and the node runs on."""
    first, second = _hook(stage, "hA", before=["hB"]), _hook(stage, "hB", before=["hA"])
    play = stage.begin(_owner(stage), first)
    refused = play.call("plugin", ["start", str(second.path)])
    assert (refused.code, "Cannot meet required hook dependencies" in str(refused.error)) == (-3, True)
    assert play.call("foo").ok()["by"] == "owner" and first.asked("foo") and not second.asked("foo")


def filters_are_names_of_methods(stage: Stage) -> None:
    """Exact ones; no name is never, no filters is always; a name that nobody has yet is no harm."""
    some = stage.puppet("hA", filters=["foo", "later", "nobody"])
    none, every = stage.puppet("hB", filters=[]), stage.puppet("hC", everything=True)
    play = stage.begin(_owner(stage), some, none, every)
    play.call("foo").ok()
    play.call("foo-bar")
    play.call("getinfo").ok()
    later = stage.puppet("later-owner", owns=["later"])
    play.start(later)
    play.call("later").ok()
    asked = [[request["method"] for request in hook.asked()] for hook in (some, none, every)]
    everything = [method for method in asked[2] if method != "getinfo" or stage.release >= MODERN]
    if stage.release >= MODERN:
        assert asked[:2] == [["foo", "later"], []]
    else:
        assert asked[0] == asked[1] == asked[2]
    assert [method for method in everything if method in ("foo", "later")] == ["foo", "later"]
    assert "getinfo" in asked[2] and "plugin" in asked[2]
    assert "foo-bar" not in asked[2]


def no_hook_for_what_there_is_not(stage: Stage) -> None:
    """A method that nobody has is refused before anybody is asked."""
    hook = stage.puppet("hA", filters=["foo"], hook={"foo": replace_by("hA-foo")}, owns=["hA-foo"])
    play = stage.begin(hook)
    refused = play.call("foo")
    assert refused.error == {"code": -32601, "message": "Unknown command 'foo'"}
    assert hook.asked("foo") == []


def no_hook_for_what_is_deprecated(stage: Stage) -> None:
    """On a node that allows no such methods they are refused before anybody is asked, and as a replacement."""
    old = {"name": "old", "usage": "", "description": "", "deprecated": True}
    hook = stage.puppet("hA", filters=["foo", "old"], hook={"foo": replace_by("old")}, rpcmethods=[old])
    play = stage.begin(_owner(stage), hook, allow_deprecated_apis=False)
    assert play.call("old").error == {"code": -32601, "message": 'Command "old" is deprecated'}
    refused = play.call("foo")
    problem = "Bad response to 'rpc_command' hook: redirected to deprecated command 'old' ("
    assert refused.error is not None and refused.error["message"].startswith(problem) and refused.code == -32600
    assert hook.asked("old") == []


# --- what they may say ----------------------------------------------------------------------------------------


def the_request_comes_as_it_is(stage: Stage) -> None:
    """Every member that the caller wrote; whatever the replacement says, the caller gets his own id."""
    hook = _hook(stage, "hA", replace_by("hA-foo", members={"id": "another"}))
    play = stage.begin(_owner(stage), hook)
    requests: list[dict[str, Any]] = [
        {"jsonrpc": "2.0", "id": 8, "method": "foo", "params": {"b": None}, "filter": {"by": True}, "extra": [1]},
        {"jsonrpc": "2.0", "id": "eight", "method": "foo", "params": "text"},
        {"jsonrpc": "2.0", "id": "n", "method": "foo", "params": 7},
    ]
    answers = [play.node.raw.exchange(request) for request in requests]
    assert hook.asked("foo") == requests
    assert [answer["id"] for answer in answers] == [8, "eight", "n"]
    got = [answer["result"]["request"] for answer in answers]
    assert [request["params"] for request in got] == [{"b": None}, "text", 7]
    # The host does not filter answers of plugins, and hands the rest on.
    assert (got[0]["filter"], got[0]["extra"]) == ({"by": True}, [1])
    assert got[0]["id"].startswith("8/cln:hA-foo#") and got[1]["id"].startswith("eight/cln:hA-foo#")
    missing = play.node.raw.exchange({"jsonrpc": "2.0", "id": 9, "method": "foo"})
    assert missing["error"] == {"code": -32600, "message": "No params"} and len(hook.asked("foo")) == len(requests)


def the_first_change_counts(stage: Stage) -> None:
    """Those behind it are asked all the same; a second change is ignored, and nobody asked after it."""
    first, second = _hook(stage, "hA", replace_by("hA-foo")), _hook(stage, "hB")
    third = _hook(stage, "hC")
    play = stage.begin(_owner(stage), first, second, third)
    assert play.call("foo").ok()["by"] == "hA"
    assert [len(hook.asked("foo")) for hook in (first, second, third)] == [1, 1, 1]
    second.wish(hook={"foo": replace_by("hB-foo")})
    assert play.call("foo").ok()["by"] == "hA"
    assert [len(hook.asked("foo")) for hook in (first, second, third)] == [2, 2, 1]
    assert len(play.lines(MODIFIED)) == 1


def an_answer_in_its_place(stage: Stage) -> None:
    """`return`: a result or an error, whole, also where nobody who is asked later changes anything."""
    first, second = _hook(stage, "hA", returns(result={"mine": 1})), _hook(stage, "hB")
    play = stage.begin(_owner(stage), first, second)
    assert play.call("foo").ok() == {"mine": 1}
    error = {"code": 7, "message": "no", "more": [1]}
    first.wish(hook={"foo": returns(error=error)})
    assert play.call("foo").error == error
    assert len(second.asked("foo")) == 2


def what_is_no_answer(stage: Stage) -> None:
    """It is logged as broken, and the command goes on."""
    hook = _hook(stage, "hA")
    play = stage.begin(_owner(stage), hook)
    for count, said in enumerate(
        ({"foo": 1}, "continue", {"result": "stop"}, {"return": {}}, {"return": {"error": {"code": "x"}}}), 1
    ):
        hook.wish(hook={"foo": says(said)})
        assert play.call("foo").ok()["by"] == "owner"
        assert len(play.lines(GARBAGE)) == count


def what_is_no_request(stage: Stage) -> None:
    """The caller is told what is wrong with the replacement, and with which one."""
    hook = _hook(stage, "hA")
    play = stage.begin(_owner(stage), hook)
    whole = {"jsonrpc": "2.0", "id": 1, "method": "hA-foo", "params": {}}
    cases: list[tuple[Any, str]] = [
        (7, "'replace' must be an object"),
        ({**whole, "method": "nobodys"}, "redirected to unknown method 'nobodys'"),
        *((_without(whole, name), f"missing '{name}'") for name in ("method", "params", "id")),
        ({**whole, "jsonrpc": "1.0"}, 'jsonrpc: "2.0" must be specified in the request'),
    ]  # fmt: skip
    for replaced, problem in cases:
        hook.wish(hook={"foo": says({"replace": replaced})})
        refused = play.call("foo")
        assert refused.error is not None and refused.code == -32600
        assert refused.error["message"].startswith(f"Bad response to 'rpc_command' hook: {problem} (")
    assert play.call("getinfo").ok()


def _without(request: dict[str, Any], name: str) -> dict[str, Any]:
    return {member: value for member, value in request.items() if member != name}


# --- use, and the order that waits ----------------------------------------------------------------------------


def a_second_change_leaks(stage: Stage) -> None:
    """The hook counts as in use from then on: who is started again stands behind, and is asked all the same."""
    first, second = (_hook(stage, name, replace_by(f"{name}-foo"), before=before) for name, before in
                     (("hA", ["hB"]), ("hB", [])))  # fmt: skip
    play = stage.begin(_owner(stage), first, second)
    play.call("foo").ok()
    play.stop(first)
    play.start(first)
    assert bool(play.lines(f"plugin-hA: {DEFERRED}") or play.lines(DEFERRED)) == (stage.release >= MODERN)
    answer = play.call("foo").ok()
    assert answer["by"] == ("hB" if stage.release >= MODERN else "hA")
    assert len(first.asked("foo")) == 2


def one_change_does_not_leak(stage: Stage) -> None:
    """Started again four times, it stands where it wishes to."""
    first, second = _hook(stage, "hA", replace_by("hA-foo"), before=["hB"]), _hook(stage, "hB")
    play = stage.begin(_owner(stage), second, first)
    for _ in range(4):
        assert play.call("foo").ok()["by"] == "hA"
        play.stop(first)
        play.start(first)
    play.call("foo").ok()
    assert play.lines(DEFERRED) == [] and first.asked_at() < second.asked_at()


def an_order_waits_for_open_calls(stage: Stage) -> None:
    """A hook that has not answered is in use; with its answer the order comes true."""
    slow = _hook(stage, "hA", {"wait": "now", **CONTINUE})
    late = _hook(stage, "hB", before=["hA"])
    play = stage.begin(_owner(stage), slow)
    pending = play.soon("foo")
    until(lambda: slow.asked("foo"))
    play.start(late)
    assert bool(play.lines(DEFERRED)) == (stage.release >= MODERN)
    slow.go("now")
    assert result_of(pending).ok()["by"] == "owner"
    # It was not there when the call began, but is asked as the last one where the chain itself is walked.
    assert len(late.asked("foo")) == (stage.release >= MODERN)
    if stage.release >= MODERN:
        until(lambda: play.lines(UPDATED))
    play.call("foo").ok()
    assert late.asked_at() < slow.asked_at()


# --- who ends, and when ---------------------------------------------------------------------------------------


def ended_with_a_call_open(stage: Stage) -> None:
    """Killed before its hook answered: as if it had not been there; also those that wait since long."""
    hook = _hook(stage, "hA", NEVER)
    play = stage.begin(_owner(stage), hook)
    pending = [play.soon("foo") for _ in range(3)]
    until(lambda: len(hook.asked("foo")) == 3)
    os.kill(hook.pid, signal.SIGKILL)
    assert [result_of(each).ok()["by"] for each in pending] == ["owner"] * 3
    assert play.call("foo").ok()["by"] == "owner"


def stopped_by_a_signal(stage: Stage) -> None:
    """What its filter names waits, and nothing else; going on it is served, killed it goes to its owner.

    Where there are no filters everything waits.
    """
    if stage.release < MODERN:
        _stopped_without_filters(stage)
        return
    hook = _hook(stage, "hA", replace_by("hA-foo"))
    play = stage.begin(_owner(stage), hook)
    os.kill(hook.pid, signal.SIGSTOP)
    pending = play.soon("foo")
    play.call("getinfo").ok()
    play.call("plugin", ["list"]).ok()
    assert not pending.done()
    os.kill(hook.pid, signal.SIGCONT)
    assert result_of(pending).ok()["by"] == "hA"
    os.kill(hook.pid, signal.SIGSTOP)
    pending = play.soon("foo")
    play.call("getinfo").ok()
    assert not pending.done()
    play.stop(hook)
    assert result_of(pending).ok()["by"] == "owner"


def _stopped_without_filters(stage: Stage) -> None:
    hook = _hook(stage, "hA")
    play = stage.begin(_owner(stage), hook)
    os.kill(hook.pid, signal.SIGSTOP)
    pending = [play.soon("foo"), play.soon("getinfo"), play.soon("plugin", ["stop", "hA"])]
    os.kill(hook.pid, signal.SIGKILL)
    assert [result_of(each).error for each in pending[:2]] == [None, None]


def ended_with_the_replacement_open(stage: Stage) -> None:
    """Killed while its own method runs, or just after: -4. What it did is not known to the host."""
    hook = _hook(stage, "hA", replace_by("hA-foo"), methods={"hA-foo": NEVER})
    play = stage.begin(_owner(stage), hook)
    pending = play.soon("foo")
    until(lambda: hook.told("hA-foo"))
    os.kill(hook.pid, signal.SIGKILL)
    assert result_of(pending).error == {"code": -4, "message": "Plugin terminated before replying to RPC call."}
    assert play.call("foo").ok()["by"] == "owner"


def ended_between_answer_and_call(stage: Stage) -> None:
    """Somebody behind it is still thinking: then there is no such method any more, and nothing was begun."""
    gone = _hook(stage, "hA", replace_by("hA-foo", end=True))
    slow = _hook(stage, "hB", {"wait": "now", **CONTINUE})
    play = stage.begin(_owner(stage), gone, slow)
    pending = play.soon("foo")
    until(lambda: slow.asked("foo"))
    until(lambda: len(play.call("plugin", ["list"]).ok()["plugins"]) and _is_gone(gone))
    slow.go("now")
    refused = result_of(pending)
    assert refused.error is not None and refused.code == -32600
    problem = "Bad response to 'rpc_command' hook: redirected to unknown method 'hA-foo' ("
    assert refused.error["message"].startswith(problem)
    assert gone.told("hA-foo") == []


def _is_gone(puppet: Puppet) -> bool:
    try:
        os.kill(puppet.pid, 0)
    except ProcessLookupError:
        return True
    return False


# --- how a node ends ------------------------------------------------------------------------------------------


def a_hook_on_its_own_method(stage: Stage) -> None:
    """Its plugin ends with a call open: the method is looked up, and nobody answers for it."""
    both = stage.puppet("hA", filters=["foo"], owns=["foo"], hook={"foo": {"die": True}})
    play = stage.begin(both)
    assert "No plugin for foo ?" in play.dies("foo")


def a_hook_on_its_own_method_stopped(stage: Stage) -> None:
    """The same by `plugin stop`."""
    both = stage.puppet("hA", filters=["foo"], owns=["foo"], hook={"foo": NEVER})
    play = stage.begin(both)
    pending = play.soon("foo")
    until(lambda: both.asked("foo"))
    pending.add_done_callback(lambda each: each.exception())
    assert "No plugin for foo ?" in play.dies("plugin", ["stop", "hA"])


def a_hook_open_on_a_method_whose_owner_ends(stage: Stage) -> None:
    """Whoever has the hook: the command is carried out with what is no more."""
    owner, hook = _owner(stage), _hook(stage, "hA", {"wait": "now", **CONTINUE})
    play = stage.begin(owner, hook)
    pending = play.soon("foo")
    until(lambda: hook.asked("foo"))
    play.stop(owner)
    hook.go("now")
    pending.exception()
    assert play.ended()


def an_answer_before_another_change(stage: Stage) -> None:
    """`return`, then any change: the request is freed twice."""
    answers: list[dict[str, Any]] = [{"result": {}}, {"error": {"code": 1, "message": "x"}}]
    for answer in answers:
        for change in (replace_by("hB-foo"), returns(result={})):
            play = stage.begin(_owner(stage), _hook(stage, "hA", returns(**answer)), _hook(stage, "hB", change))
            assert FREED_TWICE in play.dies("foo")


def the_hosts_own_method_before_another_change(stage: Stage) -> None:
    """`replace` by what lightningd answers itself, at once; by a plugin's method it lives, and leaks."""
    first, second = _hook(stage, "hA", replace_by("getinfo")), _hook(stage, "hB", replace_by("hB-foo"))
    play = stage.begin(_owner(stage), first, second)
    assert FREED_TWICE in play.dies("foo")


def a_method_that_is_gone_before_another_change(stage: Stage) -> None:
    """It answers `replace` and ends; somebody behind it answers `replace` as well."""
    gone = _hook(stage, "hA", replace_by("hA-foo", end=True))
    slow = _hook(stage, "hB", {"wait": "now", **replace_by("hB-foo")})
    play = stage.begin(_owner(stage), gone, slow)
    pending = play.soon("foo")
    until(lambda: slow.asked("foo"))
    until(lambda: play.call("getinfo").ok() and _is_gone(gone))
    slow.go("now")
    pending.exception()
    assert FREED_TWICE in play.ended()


def an_error_as_answer(stage: Stage) -> None:
    """A hook has no errors."""
    play = stage.begin(_owner(stage), _hook(stage, "hA", fails(-1, "no")))
    assert "Plugin hA for rpc_command returned non-result response" in play.dies("foo")


def a_returned_error_that_is_none(stage: Stage) -> None:
    """`return` of an error without a code, or without a message."""
    for error in ({"message": "x"}, {"code": 1}, 7):
        play = stage.begin(_owner(stage), _hook(stage, "hA", returns(error=error)))
        assert "FATAL SIGNAL 11" in play.dies("foo")


CASES = [
    asked_in_the_order_they_wish, wishes_that_contradict_each_other, filters_are_names_of_methods,
    no_hook_for_what_there_is_not, no_hook_for_what_is_deprecated, the_request_comes_as_it_is,
    the_first_change_counts, an_answer_in_its_place, what_is_no_answer, what_is_no_request,
    a_second_change_leaks, one_change_does_not_leak, an_order_waits_for_open_calls, ended_with_a_call_open,
    stopped_by_a_signal, ended_with_the_replacement_open, ended_between_answer_and_call,
]  # fmt: skip
DEATHS = [
    a_hook_on_its_own_method, a_hook_on_its_own_method_stopped, a_hook_open_on_a_method_whose_owner_ends,
    an_answer_before_another_change, the_hosts_own_method_before_another_change,
    a_method_that_is_gone_before_another_change, an_error_as_answer, a_returned_error_that_is_none,
]  # fmt: skip
