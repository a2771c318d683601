"""Values of options: what is one, and what lightningd may come up without."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pay.app.options import DYNAMIC, SHADOW, AsSet
from pay.app.served import SERVED
from pay.app.written_options import written

ROWS = {option.name: option for option in DYNAMIC}
FAILURE_COST, MAX_PARTS, MIN_PART = ROWS["pay-failure-cost"], ROWS["pay-max-parts"], ROWS["pay-min-part"]


@pytest.mark.parametrize(
    ("option", "value", "read"),
    [
        (FAILURE_COST, "10000msat", 10_000), (FAILURE_COST, "5sat", 5_000), (FAILURE_COST, 7, 7),
        (FAILURE_COST, "0", 0), (FAILURE_COST, "0.01btc", 10**9), (MIN_PART, "1.5sat", 1_500),
        (MAX_PARTS, 1, 1), (MAX_PARTS, "100", 100), (SHADOW, "full", "full"), (SERVED, "pay, xpay", "pay, xpay"),
    ],
)  # fmt: skip
def test_a_value(option: Any, value: Any, read: Any) -> None:
    assert option.read(value) == read


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        (FAILURE_COST, "5 sat", "should be an amount like 1000"), (FAILURE_COST, -1, "should not be negative"),
        (FAILURE_COST, "1.0btc", "should be 1000000000msat at the most, not '1.0btc'"),
        (FAILURE_COST, "1.5msat", "no part of a msat"), (FAILURE_COST, "", "should be an amount"),
        (FAILURE_COST, True, "should be an amount"), (FAILURE_COST, None, "should be an amount"),
        (MAX_PARTS, 0, "should be a whole number from 1 to 100, not 0"), (MAX_PARTS, 101, "not 101"),
        (MAX_PARTS, "1_0", "whole number"), (MAX_PARTS, " 5", "whole number"), (MAX_PARTS, True, "whole number"),
        (MAX_PARTS, "5sat", "whole number"), (MAX_PARTS, "\u0665", "whole number"),
        (MAX_PARTS, None, "whole number"),
        (SHADOW, "maybe", "should be one of off, delay, full, not 'maybe'"), (SHADOW, "Off", "should be one of"),
        (SERVED, "pay,sendpay", "should be all, none or some of pay,"), (SERVED, "", "not ''"),
        (SERVED, None, "should be all"),
    ],
)  # fmt: skip
def test_no_value(option: Any, value: Any, words: str) -> None:
    """Said with the option's name, what it should be, and what was given."""
    with pytest.raises(ValueError, match=r"^pay-") as refused:
        option.read(value)
    assert str(refused.value).startswith(f"{option.name} should") and words in str(refused.value)
    assert '"' not in str(refused.value), "lightningd escapes it twice: a terminal shows three backslashes"


@pytest.mark.parametrize(
    ("text", "names"),
    [("all", {"pay", "paystatus", "xpay", "listpays"}), ("none", set()), ("pay , xpay", {"pay", "xpay"})],
)
def test_which_commands_are_meant(text: str, names: set[str]) -> None:
    assert SERVED.meant(SERVED.read(text)) == names


@pytest.mark.parametrize("option", DYNAMIC, ids=lambda option: option.name)
def test_defaults_are_values(option: Any) -> None:
    """As the host shows and hands them back: as JSON of its type, or as text from `setconfig`."""
    assert option.read(option.shown) == option.read(str(option.shown)) == option.default


# --- what outlasts the plugin -----------------------------------------------------------------------------------

OURS = "/srv/pay/plugin.py"
DIRECTORY = "/home/cln/.lightning/bitcoin"
FILE = "/home/cln/.lightning/bitcoin/config.setconfig"


def test_options_are_read_again_once_one_was_set() -> None:
    """Also where that happens, on another thread, while they are read."""
    plugin, read = SimpleNamespace(times_set=0, value="old"), list[str]()

    def reading(plugin: Any) -> str:
        read.append(plugin.value)
        if read == ["old"]:
            plugin.value, plugin.times_set = "new", 1
        return read[-1]

    as_set = AsSet(plugin, reading)  # type: ignore[arg-type]
    assert [as_set(), as_set(), as_set()] == ["old", "new", "new"]
    assert read == ["old", "new"]


def configs(source: str, **others: Any) -> dict[str, Any]:
    shown = {name.replace("_", "-"): {"values_str": values} for name, values in others.items()}
    return {"pay-min-part": {"value_str": "1", "source": source, "plugin": OURS, "dynamic": True}, **shown}


@pytest.mark.parametrize("source", [f"{FILE}:2", "/etc/lightning/config:17"])
def test_written_down(source: str) -> None:
    assert written(configs(source), ["pay-min-part", "disable-mpp"], DIRECTORY) == [("pay-min-part", source, OURS)]
    others = configs(source, plugin=["/srv/other.py"], plugin_dir=["/srv"])
    assert written(others, ["pay-min-part"], DIRECTORY) != []


@pytest.mark.parametrize("source", ["default", "cmdline", "pluginstart", "setconfig transient", ""])
def test_not_written_down(source: str) -> None:
    assert written(configs(source), ["pay-min-part"], DIRECTORY) == []


@pytest.mark.parametrize(
    "others",
    [
        {"plugin": ["/srv/other.py", OURS]}, {"important_plugin": [OURS]},
        {"plugin": ["/srv/pay/../pay/plugin.py"]},
        {"plugin": ["plugin.py"]}, {"plugin_dir": ["/srv/pay/"]},
    ],
)  # fmt: skip
def test_the_configuration_starts_us_too(others: dict[str, Any]) -> None:
    assert written(configs(f"{FILE}:2", **others), ["pay-min-part"], DIRECTORY) == []


@pytest.mark.parametrize("below", ["plugins", "plugins/pay"])
def test_in_the_folder_that_lightningd_looks_at(below: str, tmp_path: Path) -> None:
    """It and the folders in it, also where the file is a link to elsewhere."""
    folder = tmp_path / below
    folder.mkdir(parents=True)
    (tmp_path / "elsewhere.py").touch()
    (folder / "plugin.py").symlink_to(tmp_path / "elsewhere.py")
    shown = configs(f"{FILE}:2")
    shown["pay-min-part"]["plugin"] = str(folder / "plugin.py")
    assert written(shown, ["pay-min-part"], str(tmp_path / "bitcoin")) == []
    assert written(shown, ["pay-min-part"], str(tmp_path / "other" / "bitcoin")) != []
