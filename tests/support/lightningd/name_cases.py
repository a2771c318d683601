"""Who has which name on a node, and how a plugin is started: the same assertions on the box and on lightningd.

Names are methods and options; the host's own plugins have theirs first. See `chain_cases` for hooks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.lightningd.stages import Play, Stage
from tests.support.puppets import Puppet, replace_by, says
from tests.support.waiting import result_of, until

TAKEN_METHOD = 'Could not register method "pay", a method with that name is already registered by plugin '
OPTION = [{"name": "ha-opt", "type": "string", "description": "ours"}]
DISABLE_MPP = [{"name": "disable-mpp", "type": "flag", "description": "theirs"}]
XPAY_SINCE_V26_06 = (26, 6)
TEXT_IDS = (25, 5)
"""Before, getmanifest comes with a number: whether a plugin reads an id that is none is in the manifest."""
HANDLE_PAY = "xpay-handle-pay"
MISSING = -32601


def _runs(play: Play, puppet: Puppet) -> bool:
    """Whether it is on the list, and active."""
    listed = play.call("plugin", ["list"]).ok()["plugins"]
    return any(each["name"] == str(puppet.path) and each["active"] for each in listed)


def _path_of(play: Play, name: str) -> str:
    """Of one of the host's own plugins."""
    listed = play.call("plugin", ["list"]).ok()["plugins"]
    return next(each["name"] for each in listed if Path(each["name"]).name == name)


def _handles_pay(play: Play) -> dict[str, Any]:
    """The entry of `xpay-handle-pay`: its value and where it comes from."""
    entry: dict[str, Any] = play.call("listconfigs", {"config": HANDLE_PAY}).ok()["configs"][HANDLE_PAY]
    return {"value": entry["value_bool"], "source": entry["source"]}


# --- starting -------------------------------------------------------------------------------------------------


def how_a_plugin_is_started(stage: Stage) -> None:
    """What it can know before it answers getmanifest: the id tells a start of the node from one by a call."""
    first, second = stage.puppet("first"), stage.puppet("second")
    play = stage.begin(first)
    play.start(second)
    for puppet, prefix, startup in ((first, "", True), (second, "test:plugin#", False)):
        (manifest,), (init,) = puppet.told("getmanifest"), puppet.told("init")
        assert manifest["params"] == {"allow-deprecated-apis": True}
        if stage.release >= TEXT_IDS:
            assert manifest["id"].startswith(prefix or "cln:getmanifest#") and "cln:getmanifest#" in manifest["id"]
        else:
            assert isinstance(manifest["id"], int)
        assert init["id"].startswith("cln:init#")
        configuration = init["params"]["configuration"]
        assert configuration["startup"] is startup and configuration["rpc-file"] == "lightning-rpc"
        env = puppet.started["env"]
        assert (env["LIGHTNINGD_PLUGIN"], env["LIGHTNINGD_VERSION"]) == ("1", stage.version)
        assert puppet.started["cwd"] == configuration["lightning-dir"]
        assert Path(puppet.started["cwd"]).name == configuration["network"]
        assert puppet.started["argv"][1:] == ["--developer"]


def a_path_that_is_named_twice(stage: Stage) -> None:
    """By two lines of a configuration: the node does not start; by a call later: refused."""
    puppet = stage.puppet("hA", owns=["foo"])
    assert f"--plugin={puppet.path}: Failed to register {puppet.path}: " in stage.begin(puppet, puppet).ended()
    assert puppet.told() == []
    play = stage.begin(puppet)
    refused = play.call("plugin", ["start", str(puppet.path)])
    assert refused.error is not None and refused.code == -32602 and len(puppet.told("getmanifest")) == 1


def an_option_of_a_plugin_that_is_disabled(stage: Stage) -> None:
    """Nobody has it, and the node does not start."""
    words = stage.begin(disable_plugin="cln-xpay", xpay_handle_pay=False).ended()
    assert "--xpay-handle-pay=false: unknown option" in words


def a_plugin_that_bows_out(stage: Stage) -> None:
    """With an option of its own in the configuration: at init the node goes on, by a call it is an error."""
    puppet = stage.puppet("hA", options=OPTION, init=says({"disable": "not today"}))
    play = stage.begin(puppet, ha_opt="1")
    assert not _runs(play, puppet) and play.lines("disabled itself at init: not today")
    refused = play.call("plugin", ["start", str(puppet.path)])
    assert refused.code == -3 and "disabled itself at init: not today" in str(refused.error)


def a_plugin_that_bows_out_too_early(stage: Stage) -> None:
    """In its manifest: then nobody has the option, and the node does not start."""
    puppet = stage.puppet("hA", options=OPTION, disable="not today")
    assert "--ha-opt=1: unknown option" in stage.begin(puppet, ha_opt="1").ended()


def a_plugin_started_too_early(stage: Stage) -> None:
    """By a call while the node starts: its manifest is asked for, and that is all, until another is started."""
    slow = stage.puppet("hA", init={"wait": "now", **says({})})
    early = stage.puppet("early")
    play = stage.begin_soon(slow)
    until(lambda: slow.told("init"))
    pending = play.soon("plugin", ["start", str(early.path)])
    until(lambda: early.told("getmanifest"))
    slow.go("now")
    play.node.up()
    until(lambda: _runs(play, slow))
    assert not _runs(play, early) and early.told("init") == [] and not pending.done()
    play.start(stage.puppet("later"))
    assert result_of(pending).ok() and _runs(play, early)


# --- taken names ----------------------------------------------------------------------------------------------


def a_taken_method(stage: Stage) -> None:
    """The later one is ended, and the node goes on; started by a call it is refused with the same words."""
    puppet = stage.puppet("hA", owns=["pay"])
    play = stage.begin(puppet)
    assert play.lines(TAKEN_METHOD) and not _runs(play, puppet)
    refused = play.call("plugin", ["start", str(puppet.path)])
    assert refused.error is not None and refused.code == -3
    assert refused.error["message"] == f"{puppet.path}: {TAKEN_METHOD}{_path_of(play, 'pay')}"


def a_taken_method_of_who_has_an_option(stage: Stage) -> None:
    """With that option in the configuration the node does not start."""
    puppet = stage.puppet("hA", owns=["pay"], options=OPTION)
    assert "--ha-opt=1: unknown option" in stage.begin(puppet, ha_opt="1").ended()


def a_taken_option(stage: Stage) -> None:
    """The node does not start; a start by a call is refused."""
    puppet = stage.puppet("hA", options=DISABLE_MPP)
    words = stage.begin(puppet).ended()
    assert f"error starting plugin '{puppet.path}': option name 'disable-mpp' is already taken" in words
    refused = stage.begin().call("plugin", ["start", str(puppet.path)])
    assert refused.error is not None and refused.code == -3
    assert refused.error["message"] == f'{puppet.path}: Option "disable-mpp" already registered'


def names_of_a_plugin_that_is_disabled(stage: Stage) -> None:
    """They are free."""
    puppet = stage.puppet("hA", owns=["pay", "paystatus"], options=DISABLE_MPP)
    play = stage.begin(puppet, disable_plugin="pay", disable_mpp=None)
    assert play.call("pay", {"x": 1}).ok()["by"] == "hA"
    assert puppet.told("init")[0]["params"]["options"] == {"disable-mpp": True}


def names_of_a_plugin_that_is_stopped(stage: Stage) -> None:
    """They are free from then on, and it does not get them back while somebody has them."""
    puppet = stage.puppet("hA", owns=["pay", "paystatus"], options=DISABLE_MPP)
    play = stage.begin(xpay_handle_pay=False)
    path = _path_of(play, "pay")
    play.call("plugin", ["stop", "pay"]).ok()
    assert play.call("pay", ["x"]).code == MISSING
    play.start(puppet)
    assert play.call("pay", ["x"]).ok()["by"] == "hA"
    assert play.call("plugin", ["start", path]).code == -3
    play.stop(puppet)
    play.call("plugin", ["start", path]).ok()
    assert "Invalid bolt11" in str(play.call("pay", ["x"]).error)


# --- whose methods there are ----------------------------------------------------------------------------------


def _answers(stage: Stage, **options: Any) -> dict[str, str]:
    """By method: hooked, missing, or refused before any hook."""
    methods = ["pay", "xpay", "paystatus", "listpays"]
    hook = stage.puppet(
        f"h{len(options)}", filters=methods, owns=["mine"], before=["cln-xpay"],
        hook={method: replace_by("mine") for method in methods},
    )  # fmt: skip
    play = stage.begin(hook, **options)
    found = {}
    for method in methods:
        answer = play.call(method, ["x"])
        missing = answer.error == {"code": MISSING, "message": f"Unknown command '{method}'"}
        refused = answer.error == {"code": MISSING, "message": f'Command "{method}" is deprecated'}
        found[method] = "missing" if missing else "refused" if refused else "hook" if hook.asked(method) else "?"
    return found


def methods_of_a_plain_node(stage: Stage) -> None:
    every = dict.fromkeys(["pay", "xpay", "paystatus", "listpays"], "hook")
    assert _answers(stage) == every
    # `pay` refuses by itself, where nobody takes it over: cln-xpay is to be able to.
    old = {"paystatus": "refused"} if stage.release >= XPAY_SINCE_V26_06 else {}
    assert _answers(stage, allow_deprecated_apis=False) == {**every, **old}


def methods_without_the_builtin(stage: Stage) -> None:
    """Without one of pay and cln-xpay; `listpays` has changed hands."""
    modern = stage.release >= XPAY_SINCE_V26_06
    of_pay, of_xpay = ("hook", "missing") if modern else ("missing", "hook")
    assert _answers(stage, disable_plugin="cln-xpay") == {
        "pay": "hook", "xpay": "missing", "paystatus": "hook", "listpays": of_xpay,
    }  # fmt: skip
    play = stage.begin(disable_plugin="pay", xpay_handle_pay=True)
    assert {method: play.call(method, ["x"]).code == MISSING for method in ("pay", "xpay", "paystatus")} == {
        "pay": True, "xpay": False, "paystatus": True,
    }  # fmt: skip
    assert (play.call("listpays").code == MISSING) == (of_pay == "missing")
    assert Path(_path_of(play, "cln-xpay")).is_absolute()


def help_and_check_by_a_hook(stage: Stage) -> None:
    """They are methods as others are, and what replaces them answers for them."""
    hook = stage.puppet(
        "hA", filters=["help", "check"], owns=["hA-help", "hA-check"],
        hook={"help": replace_by("hA-help"), "check": replace_by("hA-check")},
        methods={"hA-help": says({"help": [1]}), "hA-check": says({"command_to_check": "pay"})},
    )  # fmt: skip
    play = stage.begin(hook)
    assert play.call("help", ["pay"]).ok() == {"help": [1]}
    assert play.call("check", ["pay", "lnbc1"]).ok() == {"command_to_check": "pay"}
    asked = [hook.asked(method)[0]["params"] for method in ("help", "check")]
    assert asked == [["pay"], ["pay", "lnbc1"]]
    play.stop(hook)
    assert play.call("help", ["pay"]).ok()["help"][0]["command"].startswith("pay ")
    assert play.call("help", ["hA-help"]).code == MISSING
    refused = play.call("check", ["pay", "lnbc1"])
    assert refused.error is not None and refused.code == -32602
    assert refused.error["message"].startswith("Invalid bolt11: ")
    refused = play.call("check", {"command_to_check": "xpay", "invstring": "lnbc1"})
    assert refused.error is not None and refused.error["message"].startswith("Invalid bolt11 invoice: ")


# --- who takes pay --------------------------------------------------------------------------------------------


def xpay_handle_pay_as_it_is(stage: Stage) -> None:
    """On where nobody sets it only since v26.06."""
    play = stage.begin()
    assert _handles_pay(play) == {"value": stage.release >= XPAY_SINCE_V26_06, "source": "default"}


def xpay_handle_pay_set_for_a_while(stage: Stage) -> None:
    """Without a word in the operator's file; it stays as it is when cln-xpay is stopped and started."""
    play = stage.begin()
    if stage.release < (25, 2):
        refused = play.call("setconfig", [HANDLE_PAY, True, True])
        assert refused.error == {"code": -32602, "message": "too many parameters: got 3, expected 2"}
        return
    wanted = stage.release < XPAY_SINCE_V26_06
    play.call("setconfig", {"config": HANDLE_PAY, "val": wanted, "transient": True}).ok()
    assert _handles_pay(play) == {"value": wanted, "source": "setconfig transient"}
    path = _path_of(play, "cln-xpay")
    play.call("plugin", ["stop", path]).ok()
    assert play.call("listconfigs", [HANDLE_PAY]).error is not None
    play.call("plugin", ["start", path]).ok()
    assert _handles_pay(play) == {"value": wanted, "source": "setconfig transient"}
    refused = play.call("setconfig", {"config": HANDLE_PAY, "transient": True})
    assert refused.error == {"code": -32602, "message": f"{HANDLE_PAY} requires a value"}


def xpay_is_asked_all_the_same(stage: Stage) -> None:
    """Two that replace: ours is in front and serves, and from then on the hook counts as in use."""
    hook = stage.puppet(
        "hA", filters=["pay"], owns=["mine"], before=["cln-xpay"], hook={"pay": replace_by("mine")}
    )
    play = stage.begin(hook, xpay_handle_pay=True)
    assert play.call("pay", ["x"]).ok()["by"] == "hA"
    assert len(play.lines("rpc_command hook 'pay' already modified, ignoring.")) == 1
    play.stop(hook)
    play.start(hook)
    deferred = "Deferring registration of hook rpc_command until it's not in use."
    assert bool(play.lines(deferred)) == (stage.release >= (25, 12))
    answer = play.call("pay", ["x"])
    if stage.release >= (25, 12):
        # It is asked, but last; cln-xpay, in front now, finds nothing that it could pay.
        assert answer.error is not None and answer.error["message"].startswith("Invalid bolt11 invoice: ")
    else:
        assert answer.ok()["by"] == "hA"


CASES = [
    how_a_plugin_is_started, a_path_that_is_named_twice, an_option_of_a_plugin_that_is_disabled,
    a_plugin_that_bows_out, a_plugin_that_bows_out_too_early, a_plugin_started_too_early, a_taken_method,
    a_taken_method_of_who_has_an_option, a_taken_option, names_of_a_plugin_that_is_disabled,
    names_of_a_plugin_that_is_stopped, methods_of_a_plain_node, methods_without_the_builtin,
    help_and_check_by_a_hook, xpay_handle_pay_as_it_is, xpay_handle_pay_set_for_a_while,
    xpay_is_asked_all_the_same,
]  # fmt: skip
