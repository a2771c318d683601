"""Which calls of `xpay` are ours to answer, by the host's release; all others are for its own `xpay`."""

from __future__ import annotations

from typing import Any

import pytest

from pay.commands.xpay import PARAMETERS, at_work, fits, serves, string_of
from pay.engine.live.in_work import InWork
from pay.host.version import Version

V24_11, V25_12, V26_04, V26_06 = Version(24, 11), Version(25, 12), Version(26, 4), Version(26, 6)
ALL = (V24_11, V25_12, V26_04, V26_06)

ORDER = [
    "invstring",
    "amount_msat",
    "maxfee",
    "layers",
    "retry_for",
    "partial_msat",
    "maxdelay",
    "payer_note",
    "label",
    "localinvreqid",
    "dev_use_shadow",
]


def test_order() -> None:
    """plugins/xpay/xpay.c of v26.06.6."""
    assert [parameter.name for parameter in PARAMETERS] == ORDER


@pytest.mark.parametrize(
    ("version", "developer", "most"),
    [(V24_11, False, 6), (V25_12, False, 7), (V25_12, True, 7), (V26_04, False, 8), (V26_06, False, 10),
     (V26_06, True, 11)],
)  # fmt: skip
def test_positions(version: Version, developer: bool, most: int) -> None:
    """As many as the host's own takes, all but the first of them null; one more is its error to give."""
    assert serves(["lnbc1", *[None] * (most - 1)], version, developer)
    assert not serves(["lnbc1", *[None] * most], version, developer)


@pytest.mark.parametrize(
    ("name", "value", "since"),
    [("maxdelay", 500, (25, 2)), ("payer_note", "hello", (26, 4)), ("label", "tea", (26, 6))],
)
def test_names(name: str, value: Any, since: tuple[int, int]) -> None:
    """One that the host does not have yet is its own to refuse, also as null."""
    for version in ALL:
        assert serves({"invstring": "lnbc1", name: value}, version) is version.since(since)
        assert serves({"invstring": "lnbc1", name: None}, version) is version.since(since)


@pytest.mark.parametrize(
    "params",
    [
        ["lnbc1"],
        ["lnbc1", None, "1sat"],
        {"invstring": "lnbc1", "amount_msat": None, "maxfee": 5, "layers": None, "retry_for": 60},
        {"invstring": "lnbc1", "layers": []},
        ["lnbc1", 1, 1, [], 1, 1],
        {"invstring": "lnbc1", "layers": ["auto.no_mpp_support"]},
        {"invstring": "lnbc1", "amount_msat": "no amount"},
    ],
)
def test_served(params: Any) -> None:
    for version in ALL:
        assert serves(params, version)


@pytest.mark.parametrize(
    "params",
    [
        {"invstring": "lnbc1", "layers": ["mine"]},
        ["lnbc1", None, None, ["mine"]],
        {"invstring": "lnbc1", "layers": ["auto.no_mpp_support", "mine"]},
        {"invstring": "lnbc1", "layers": "mine"},
        {"invstring": "lnbc1", "layers": 0},
        {"invstring": "lnbc1", "localinvreqid": "00" * 32},
        {"invstring": "lnbc1", "bolt11": "lnbc1"},
        {"bolt11": "lnbc1"},
        {"invstring": "lnbc1", "maxfeepercent": 1},
        {"invstring": "lnbc1", "dev_use_shadow": False},
        {"invstring": ["lnbc1"]},
        {"invstring": None},
        {},
        [],
        [None],
        [["lnbc1"]],
        None,
        "lnbc1",
        7,
        True,
    ],
)
def test_left_to_the_host(params: Any) -> None:
    """What we cannot honour, and what is no call: never dropped, never guessed at."""
    for version in ALL:
        assert not serves(params, version)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (["lnbc1", 5], "lnbc1"),
        (["lightning:LNBC1"], "lnbc1"),
        ({"invstring": "lnbc1", "layers": ["mine"]}, "lnbc1"),
        ([], None),
        ([None, "lnbc1"], None),
        ({"bolt11": "lnbc1"}, None),
        ("lnbc1", None),
        (None, None),
    ],
)
def test_string(params: Any, text: str | None) -> None:
    assert string_of(params) == text


@pytest.mark.parametrize("text", ["lnbcrt1", "LIGHTNING:LNBC1"])
def test_for_us(text: str) -> None:
    assert fits([text], V26_06, False) and fits({"invstring": text}, V25_12, False)
    assert not fits({"invstring": text, "layers": ["mine"]}, V26_06, False)
    assert not fits({"invstring": text, "label": "tea"}, V25_12, False)


@pytest.mark.parametrize("text", ["lno1", "lni1", "somebody@example.com", "nonsense", ""])
def test_what_we_cannot_pay(text: str) -> None:
    assert not fits([text], V26_06, False)


def test_about_a_payment_in_work() -> None:
    """Whatever else it asks for."""
    names = InWork()
    names.enter("lnbc1")
    assert at_work({"invstring": "LNBC1", "layers": ["mine"], "nonsense": 1}, names)
    assert not at_work(["lnbc2"], names) and not at_work([], names) and not at_work(None, names)
