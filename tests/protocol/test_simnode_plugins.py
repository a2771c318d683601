"""How the simulated node runs plugins: the same life, the same rules and the same deaths as under lightningd.

`echo` is a plugin of the standard library that writes down what it is told; ECHO_MANIFEST adds to its manifest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.sim.lightningd.daemon import LightningdDied
from pay.sim.lightningd.harness import Box
from pay.sim.lightningd.rpc.client import FlatError
from pay.sim.lightningd.rpc.jsonstream import RpcError
from tests.support.box.worlds import executable, invoice_of_far, line_box, part, told, topics
from tests.support.plugins import ECHO, FLAVOUR
from tests.support.waiting import result_of

XPAYS_WORDS = "Invalid bolt11 invoice"
"""Of cln-xpay where it cannot read one."""

OPTIONS = [
    {"name": "echo-count", "type": "int", "default": 3, "description": "n", "dynamic": True},
    {"name": "echo-many", "type": "string", "multi": True, "description": "m", "dynamic": True},
    {"name": "echo-on", "type": "flag", "description": "f"},
    {"name": "echo-none", "type": "string", "description": "no default"},
    {"name": "echo-yes", "type": "bool", "default": True, "description": "b"},
]


@pytest.fixture
def manifest(monkeypatch: pytest.MonkeyPatch) -> Any:
    def add(**members: Any) -> None:
        monkeypatch.setenv("ECHO_MANIFEST", json.dumps(members))

    return add


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box with the echo plugin as it is."""
    with line_box(tmp_path_factory.mktemp("box"), plugin=ECHO) as running:
        yield running


def test_a_plugin_is_started_as_lightningd_starts_it(tmp_path: Path, manifest: Any) -> None:
    """getmanifest, then init; the node's directory as working directory; the version in the environment."""
    manifest(options=OPTIONS)
    given = {"echo-count": 5, "echo-many": ["a", "b"], "echo-on": True}
    with line_box(tmp_path, plugin=ECHO, options=given, version="v25.09") as box:
        first, second = told(box)[:2]
        assert first["method"] == "getmanifest"
        assert first["params"] == {"allow-deprecated-apis": False}
        assert first["id"].startswith("cln:getmanifest#")
        assert first["cwd"] == str(box.node.directory)
        assert (first["env"]["LIGHTNINGD_PLUGIN"], first["env"]["LIGHTNINGD_VERSION"]) == ("1", "v25.09")
        assert second["method"] == "init"
        assert second["params"]["options"] == {
            "echo-count": 5, "echo-many": ["a", "b"], "echo-on": True, "echo-yes": True
        }  # fmt: skip
        configuration = second["params"]["configuration"]
        assert configuration["lightning-dir"] == str(box.node.directory)
        assert (configuration["rpc-file"], configuration["startup"]) == ("lightning-rpc", True)
        assert (box.node.directory / configuration["rpc-file"]).is_socket()
        assert set(configuration["feature_set"]) == {"init", "node", "channel", "invoice"}
        assert any(line.level == "stderr" and line.text == "getmanifest asked" for line in box.node.lines)


def test_an_option_that_nobody_owns_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(LightningdDied, match="--pay-typo=1: unknown option"):
        line_box(tmp_path, plugin=ECHO, options={"pay-typo": 1}).__enter__()


def test_a_method_gets_the_whole_request_under_another_id(shared: Box) -> None:
    answer = shared.call("echo", {"a": 1})
    assert answer["request"]["params"] == {"a": 1}
    assert answer["request"]["id"].startswith("call/cln:echo#")


def test_an_answer_goes_to_the_caller_as_it_is(shared: Box) -> None:
    """Also an error with members that no client expects."""
    with pytest.raises(FlatError) as refused:
        shared.call("echo-raw", {"error": {"code": 210, "message": "m", "attempts": [1]}})
    assert refused.value.error == {"code": 210, "message": "m", "attempts": [1]}


def test_progress_reaches_the_caller_that_wants_it(shared: Box) -> None:
    """With the caller's own id; a caller that did not enable notifications gets the answer alone."""
    seen: list[dict[str, Any]] = []
    shared.call("echo-progress", {}, notify=seen.append)
    assert [(n["method"], n["params"]["id"]) for n in seen] == [("message", "call"), ("progress", "call")]
    assert shared.call("echo-progress")["request"]["method"] == "echo-progress"


def test_notifications_are_wrapped_under_their_topic(tmp_path: Path, manifest: Any) -> None:
    """Outcomes of sendpay, blocks, and another plugin's start."""
    manifest(subscriptions=["sendpay_success", "sendpay_failure", "block_added", "plugin_started"])
    with line_box(tmp_path, plugin=ECHO) as box:
        invoice = invoice_of_far(box)
        good = part(box, invoice, 100_000)
        box.call("sendpay", good)
        box.until(lambda _: topics(box, "sendpay_success"))
        box.call("sendpay", {**good, "payment_hash": "11" * 32})
        (failure,) = box.until(lambda _: topics(box, "sendpay_failure"))
        box.on_world(lambda world: world.mine())
        (block,) = box.until(lambda _: topics(box, "block_added"))
    (success,) = topics(box, "sendpay_success")
    assert success["params"]["sendpay_success"]["payment_preimage"] == invoice.preimage.hex()
    error = failure["params"]["sendpay_failure"]
    assert (error["code"], error["data"]["erring_index"], error["data"]["failcode"]) == (203, 2, 0x400F)
    # lightningd reports the row as it was when the failure came in.
    assert error["data"]["status"] == "pending"
    assert block["params"]["block_added"]["height"] == 1001
    # Also of its own start, as under lightningd.
    (started,) = topics(box, "plugin_started")
    assert started["params"]["plugin_started"]["plugin_name"] == "echo.py"


def test_a_plugin_hears_of_those_that_start_and_stop_after_it(tmp_path: Path, manifest: Any) -> None:
    manifest(subscriptions=["plugin_started", "plugin_stopped"])
    other = executable(tmp_path / "other", ECHO.read_text().replace('"echo', '"other'))
    with line_box(tmp_path, plugin=ECHO) as box:
        box.call("plugin", ["start", str(other)])
        box.call("plugin", ["stop", "other"])
        box.until(lambda _: topics(box, "plugin_stopped"))
    started = [message["params"]["plugin_started"] for message in topics(box, "plugin_started")]
    assert [plugin["plugin_name"] for plugin in started][:2] == ["echo.py", "other"]
    assert "other-raw" in started[1]["methods"]


@pytest.mark.parametrize(
    ("version", "params"),
    [("v26.06", {"weather": {"sun": 1}}), ("v25.05", {"origin": "echo.py", "payload": {"weather": {"sun": 1}}})],
)
def test_plugins_tell_each_other(tmp_path: Path, manifest: Any, version: str, params: dict[str, Any]) -> None:
    """What a plugin emits goes to subscribers, in the form of the host's time; undeclared topics go nowhere."""
    manifest(subscriptions=["weather", "secret"], notifications=[{"method": "weather"}])
    with line_box(tmp_path, plugin=ECHO, version=version) as box:
        box.call("echo-emit", {"topic": "secret", "payload": {}})
        box.call("echo-emit", {"topic": "weather", "payload": {"weather": {"sun": 1}}})
        (message,) = box.until(lambda _: topics(box, "weather"))
        assert message["params"] == params
        assert topics(box, "secret") == []
        unusual = [line.text for line in box.node.lines if line.level == "unusual"]
    assert any('topic "secret" it hasn\'t declared' in text for text in unusual)
    assert unusual[-2:] == ["emitted", "it"]


def test_rpc_command_hook_sees_what_it_filters(tmp_path: Path, manifest: Any, monkeypatch: Any) -> None:
    """Since v25.12 a hook names its commands; before, the same plugin saw every one."""
    manifest(hooks=[{"name": "rpc_command", "filters": ["getinfo"]}])
    monkeypatch.setenv("ECHO_HOOK", "continue")
    for version, seen in (("v26.06", ["getinfo"]), ("v25.09", ["listpeers", "getinfo"])):
        monkeypatch.setenv("ECHO_HOOK", json.dumps("continue"))
        with line_box(tmp_path / version, plugin=ECHO, version=version) as box:
            box.call("listpeers")
            box.call("getinfo")
            hooked = topics(box, "rpc_command")
        assert [hook["params"]["rpc_command"]["method"] for hook in hooked] == seen


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ({"replace": {"jsonrpc": "2.0", "id": 1, "method": "listpeers", "params": {}}}, "peers"),
        ({"return": {"result": {"mine": 1}}}, "mine"),
    ],
)
def test_rpc_command_hook_takes_a_command_over(
    tmp_path: Path, manifest: Any, monkeypatch: Any, verdict: dict[str, Any], expected: str
) -> None:
    manifest(hooks=[{"name": "rpc_command", "filters": ["getinfo"]}])
    monkeypatch.setenv("ECHO_HOOK", json.dumps(verdict))
    with line_box(tmp_path, plugin=ECHO) as box:
        assert expected in box.call("getinfo")


def test_the_later_owner_of_a_method_is_killed(tmp_path: Path, manifest: Any) -> None:
    """The node runs on without it; `plugin start` says why."""
    manifest(rpcmethods=[{"name": "listpays", "usage": "", "description": ""}])
    with line_box(tmp_path, plugin=ECHO) as box:
        assert box.call("listpays") == {"pays": []}
        assert box.node.plugins.all == []
        with pytest.raises(RpcError, match='Could not register method "listpays"') as refused:
            box.call("plugin", ["start", str(ECHO)])
        assert refused.value.code == -3


def test_listpays_belonged_to_the_builtin_pay_before_v26_06(tmp_path: Path, manifest: Any) -> None:
    """With that plugin disabled nobody owns it, and ours may."""
    manifest(rpcmethods=[{"name": "listpays", "usage": "", "description": ""}])
    with line_box(tmp_path, plugin=ECHO, version="v26.04") as box:
        assert "request" in box.call("listpays")


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"disable": "needs tea"}, "disabled itself: needs tea"),
        ({"dynamic": False}, "Not a dynamic plugin"),
        ({"hooks": ["nonsense"]}, "Unknown hook name nonsense"),
        ({"rpcmethods": [{"name": "x"}]}, '"usage" not provided by plugin'),
        ({"notifications": [{"method": "block_added"}]}, "attempted to register a native notification topic"),
        ({"options": [{"name": "Bad", "type": "int", "description": ""}]}, "must be lowercase alphanumeric"),
        ({"options": [{"name": "alias", "type": "string", "description": ""}]}, "already registered"),
        ({"options": [{"name": "f", "type": "flag", "default": True, "description": ""}]}, "must be 'false'"),
        ({"nonnumericids": False}, "does not allow nonnumericids"),
    ],
)
def test_a_manifest_can_be_the_end(tmp_path: Path, manifest: Any, members: dict[str, Any], reason: str) -> None:
    manifest(**members)
    with line_box(tmp_path) as box, pytest.raises(RpcError, match=reason) as refused:
        box.call("plugin", ["start", str(ECHO)])
    assert refused.value.code == -3


def test_a_plugin_that_says_nothing_and_exits(tmp_path: Path) -> None:
    """Before the manifest nobody sees why; an important plugin takes the node down with it."""
    silent = executable(tmp_path / "silent", "raise SystemExit(1)")
    with line_box(tmp_path) as box, pytest.raises(RpcError, match="exited before replying to getmanifest"):
        box.call("plugin", ["start", str(silent)])
    with pytest.raises(LightningdDied, match="exited before replying to getmanifest"):
        line_box(tmp_path, plugin=silent, important=True).__enter__()


def test_a_plugin_that_talks_nonsense_is_killed(tmp_path: Path) -> None:
    babble = executable(tmp_path / "babble", "print('hello', flush=True); input()")
    with line_box(tmp_path) as box, pytest.raises(RpcError, match="Failed to parse RPC JSON response"):
        box.call("plugin", ["start", str(babble)])


def test_a_request_to_a_plugin_that_dies(tmp_path: Path) -> None:
    """-4; its methods are unknown from then on, the node lives."""
    with line_box(tmp_path, plugin=ECHO) as box:
        with pytest.raises(RpcError, match="Plugin terminated before replying to RPC call") as refused:
            box.call("echo-die")
        assert refused.value.code == -4
        with pytest.raises(RpcError, match="Unknown command 'echo'"):
            box.call("echo")


def test_an_important_plugin_takes_the_node_down(tmp_path: Path) -> None:
    box = line_box(tmp_path, plugin=ECHO, important=True)
    box.start()
    with pytest.raises((RpcError, ConnectionError)):
        box.call("echo-die")
    box.until(lambda node: not node.running)
    with pytest.raises(OSError):
        box.call("getinfo")
    box.close()


def test_options_are_listed_and_set(tmp_path: Path, manifest: Any) -> None:
    """The plugin is asked before a dynamic option changes; transient ones are gone after a restart."""
    manifest(options=OPTIONS)
    with line_box(tmp_path, plugin=ECHO, options={"echo-count": 5}) as box:
        listed = box.call("listconfigs")["configs"]
        assert listed["echo-count"] == {
            "value_int": 5, "source": "cmdline", "plugin": str(ECHO), "dynamic": True
        }  # fmt: skip
        assert listed["echo-on"] == {"set": False, "source": "default", "plugin": str(ECHO)}
        assert "echo-none" not in listed
        changed = box.call("setconfig", {"config": "echo-count", "val": 6, "transient": True})
        assert changed["config"]["value_int"] == 6
        assert changed["config"]["source"] == "setconfig transient"
        (asked,) = topics(box, "setconfig")
        assert asked["params"] == {"config": "echo-count", "val": "6"}
        with pytest.raises(RpcError, match="refused it is"):
            box.call("setconfig", {"config": "echo-count", "val": "refused", "transient": True})
        box.call("setconfig", {"config": "echo-many", "val": ["x", "y"]})
        for config, problem in (("echo-yes", "Not a dynamic config option"), ("nope", "Unknown config option")):
            with pytest.raises(RpcError, match=problem):
                box.call("setconfig", [config, "true"])
        box.stop()
        box.restart()
        assert box.call("listconfigs", ["echo-count"])["configs"]["echo-count"]["value_int"] == 5
        many = box.call("listconfigs", ["echo-many"])["configs"]["echo-many"]
        assert many["values_str"] == ["x", "y"]


def test_setconfig_was_for_good_before_v25_02(tmp_path: Path) -> None:
    with line_box(tmp_path, version="v24.11") as box:
        with pytest.raises(RpcError) as refused:
            box.call("setconfig", ["xpay-handle-pay", "true", True])
        assert refused.value.code == -32602
        set_for_good = box.call("setconfig", ["xpay-handle-pay", "true"])["config"]
        assert set_for_good["source"].startswith(str(box.node.directory))


def test_parameters_of_plugin_start(tmp_path: Path, manifest: Any) -> None:
    manifest(options=OPTIONS)
    with line_box(tmp_path) as box:
        start = {"subcommand": "start", "plugin": str(ECHO)}
        with pytest.raises(RpcError, match="unknown parameter nope"):
            box.call("plugin", {**start, "nope": 1})
        box.call("plugin", {**start, "echo-count": 9})
        init = [message for message in told(box) if message["method"] == "init"][-1]
        assert init["params"]["options"]["echo-count"] == 9
        assert init["params"]["configuration"]["startup"] is False
        assert box.call("listconfigs", ["echo-count"])["configs"]["echo-count"]["source"] == "pluginstart"
        assert box.call("plugin", ["stop", "echo.py"])["result"] == "Successfully stopped echo.py."
        with pytest.raises(RpcError, match="Unknown config option"):
            box.call("listconfigs", ["echo-count"])


def test_xpay_takes_pay_away_unless_it_is_told_not_to(tmp_path: Path, manifest: Any) -> None:
    """v26.06: on by default; not for three positions, nor by `invstring`."""
    manifest(rpcmethods=[{"name": "pay", "usage": "bolt11", "description": ""}])
    with line_box(tmp_path, plugin=ECHO) as box:
        for taken in (["lnbcrt1"], {"bolt11": "lnbcrt1", "exclude": []}):
            with pytest.raises(RpcError, match=XPAYS_WORDS):
                box.call("pay", taken)
        for passed in (["lnbcrt1", None, None], {"invstring": "lnbcrt1"}):
            assert box.call("pay", passed)["request"]["params"] == passed
        box.call("setconfig", {"config": "xpay-handle-pay", "val": False, "transient": True})
        assert "request" in box.call("pay", ["lnbcrt1"])


def test_xpay_was_off_by_default_before(tmp_path: Path, manifest: Any) -> None:
    manifest(rpcmethods=[{"name": "pay", "usage": "bolt11", "description": ""}])
    with line_box(tmp_path, plugin=ECHO, version="v25.12", options={"xpay-handle-pay": True}) as box:
        # Up to v25.12 an argument that xpay did not know stopped it.
        assert "request" in box.call("pay", {"bolt11": "x", "exclude": []})
        with pytest.raises(RpcError, match=XPAYS_WORDS):
            box.call("pay", {"bolt11": "x"})
    with line_box(tmp_path / "off", plugin=ECHO, version="v25.12") as box:
        assert "request" in box.call("pay", ["x"])


def test_check_asks_the_plugin_only_if_it_can(tmp_path: Path, manifest: Any) -> None:
    for can_check in (False, True):
        manifest(cancheck=can_check)
        with line_box(tmp_path / str(can_check), plugin=ECHO) as box:
            box.call("check", {"command_to_check": "echo", "what": 1})
            asked = [m for m in told(box) if "id" in m and "/cln:check#" in m["id"]]
        assert len(asked) == can_check


def test_a_plugin_on_pyln_client(tmp_path: Path) -> None:
    """The library runs as it does under lightningd: options, log, calls back over the socket, async methods."""
    program = executable(tmp_path / "flavour.py", FLAVOUR.read_text())
    with line_box(tmp_path, plugin=program, options={"pyln-flavour": "salt"}) as box:
        seen: list[dict[str, Any]] = []
        assert box.call("pyln-height", {"more": 5}, notify=seen.append) == {"blockheight": 1005}
        later = box.call_soon("pyln-later")
        box.until(lambda node: any(r.method == "pyln-later" for r in node.recorded))
        box.on_world(lambda world: world.mine())
        assert result_of(later) == {"height": 1001}
        box.until(lambda node: any(line.text.endswith("tastes of salt") for line in node.lines))
        assert box.call("plugin", ["stop", "flavour.py"])["command"] == "stop"
