"""The parameters of `pay`: every type, every mistake, and fee limits to the msat."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from pay.commands.pay import COMMAND, parse_request
from pay.errors import Code, PayError
from pay.host.version import Version
from pay.payment.terms import PayRequest
from pay.units import MAX_MSAT, ScidDir
from tests.support.payments import node, scid

NODE = node("a").hex()
PARAMETERS = tuple(parameter.name for parameter in COMMAND.parameters if not parameter.developer)


def refused(params: Any, developer: bool = False) -> str:
    with pytest.raises(PayError) as caught:
        parse_request(params, developer=developer)
    assert caught.value.code == Code.INVALID_PARAMS
    assert len(caught.value.message) < 200
    return caught.value.message


# --- positions and names --------------------------------------------------------------------------------------


def test_all_by_position() -> None:
    """In the manual's order."""
    request = parse_request(
        ["lnbc1", "1sat", "tea", 5, 0.25, 30, 500, 7, "AB" * 32, [NODE, "1x1x0/1", "2x1x0"], None, "for tea", 999]
    )
    assert request == PayRequest(
        invstring="lnbc1",
        amount_msat=1_000,
        label="tea",
        riskfactor=Decimal(5),
        maxfeepercent=Decimal("0.25"),
        retry_for_s=30,
        maxdelay_blocks=500,
        exemptfee_msat=7,
        localinvreqid="ab" * 32,
        exclude_nodes=frozenset({node("a")}),
        exclude_channels=frozenset({ScidDir(scid(1), 1), ScidDir(scid(2), 0), ScidDir(scid(2), 1)}),
        description="for tea",
        partial_msat=999,
    )


def test_by_name_and_by_position_are_the_same() -> None:
    values = ["lnbc1", 1, "l", 1, 1, 1, 1, 1, "00" * 32, [], None, "d", 1]
    assert parse_request(values) == parse_request(dict(zip(PARAMETERS, values, strict=True)))


@pytest.mark.parametrize(
    "params",
    [
        ["lnbc1"],
        ["lnbc1", *[None] * 12],
        {"bolt11": "lnbc1"},
        {"invstring": "lnbc1"},
        {name: "lnbc1" if name == "bolt11" else None for name in PARAMETERS},
        {"bolt11": None, "invstring": "lnbc1"},
    ],
)
def test_defaults(params: Any) -> None:
    """Null is absent."""
    request = parse_request(params)
    assert request == PayRequest(invstring="lnbc1")
    assert (request.riskfactor, request.retry_for_s, request.maxdelay_blocks) == (10, 60, 2016)


def test_usage() -> None:
    assert COMMAND.usage(Version(26, 6), developer=False) == (
        "invstring [amount_msat] [label] [riskfactor] [maxfeepercent] [retry_for] [maxdelay] [exemptfee] "
        "[localinvreqid] [exclude] [maxfee] [description] [partial_msat]"
    )
    assert COMMAND.usage(Version(26, 4), developer=True).startswith("bolt11 [amount_msat]")
    assert COMMAND.usage(Version(26, 4), developer=True).endswith(" [dev_use_shadow]")


def test_for_developers() -> None:
    assert parse_request(["lnbc1"] + [None] * 12 + [False], developer=True).use_shadow is False
    assert parse_request({"bolt11": "lnbc1", "dev_use_shadow": "true"}, developer=True).use_shadow is True
    assert "unknown parameter" in refused({"bolt11": "lnbc1", "dev_use_shadow": True})
    assert "too many parameters" in refused(["lnbc1"] + [None] * 12 + [False])
    assert refused({"bolt11": "lnbc1", "dev_use_shadow": 1}, developer=True).startswith("dev_use_shadow: ")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ([], "bolt11"),
        ({}, "bolt11"),
        ([None], "bolt11"),
        ({"amount_msat": 1}, "bolt11"),
        (None, "params"),
        ("lnbc1", "params"),
        (7, "params"),
        (["lnbc1"] + [None] * 13, "too many parameters: 14 values were given, and `pay` takes 13"),
        ({"bolt11": "lnbc1", "amount": 1}, "unknown parameter: 'amount'"),
        # lightning-cli takes a link that was pasted for a name and its value.
        ({"bitcoin:bc1qar0srrr7xfkvy5l6?amount": "0.001&lightning=LNBC1"}, "bolt11: this is a payment link"),
        ({"bitcoin:bc1qar0srrr7xfkvy5l6?amount": 1}, "bolt11: this is an on-chain address"),
        ({"https://host.example/?lightning": "LNURL1DP68"}, "bolt11: this is an LNURL or a web address"),
        ({"tea://?amount": 1}, "unknown parameter: 'tea://?amount'"),
        ({"bolt11": "lnbc1", "BOLT11": "lnbc1"}, "unknown parameter"),
        ({"bolt11": "lnbc1", "x" * 5_000: 1}, "unknown parameter"),
        ({"bolt11": "lnbc1", "invstring": "lnbc1"}, "bolt11 and invstring"),
    ],
    ids=str,
)  # fmt: skip
def test_mistakes_of_form(params: Any, words: str) -> None:
    assert words in refused(params)


def test_a_name_among_positions() -> None:
    """`lightning-cli pay INVOICE maxfee=0` gives two values and no name: it is told how to give one."""
    how = "; to give {} by name: lightning-cli -k pay bolt11=... {}=..."
    assert refused(["lnbc1", "maxfee=0"]) == (
        "amount_msat: should be an amount like 1000, 1000msat or 1sat, not 'maxfee=0'"
        + how.format("maxfee", "maxfee")
    )
    assert refused(["lnbc1", None, None, "retry_for=9"]).endswith(how.format("retry_for", "retry_for"))
    assert refused([7, "maxfee=0"]).endswith("not 7"), "the first one that is wrong, which names nothing"
    for value in ("maxfees=0", "=0", "maxfee", "max fee=0"):
        assert "by name" not in refused(["lnbc1", value])
    assert "by name" not in refused({"bolt11": "lnbc1", "amount_msat": "maxfee=0"}), "it was given by name"


# --- types ----------------------------------------------------------------------------------------------------

NOT_AMOUNTS = [-1, 1.5, True, "x", "1.5", [], {}, MAX_MSAT + 1, "1 sat"]
NOT_NUMBERS = [
    -1, -0.5, True, "x", "", " 1", "1_0", "١", "NaN", "Infinity", "-Infinity", "sNaN", float("nan"),
    float("inf"), 1e10, 10**18, 1e-300, "0." + "1" * 100, "9" * 5_000, "1e999", "0e999999999", "1e-99999999999",
    [], {}, "0x1", "1%",
]  # fmt: skip
NOT_WHOLE = [-1, 1.5, 1.0, True, "x", "-1", "1.0", 1 << 32, str(1 << 32), "9" * 25, "١", [], {}]
NOT_HASHES = ["", "00", "0" * 63, "0" * 65, "zz" * 32, "00 " * 21 + "0", 7, True, [], {}, b"\0" * 32]
WRONG = {
    "bolt11": [7, True, "", "  ", [], {}, ["lnbc1"]],
    "amount_msat": [*NOT_AMOUNTS, 0, "0sat"],
    "label": [True, [], {}, ["a"]],
    "riskfactor": NOT_NUMBERS,
    "maxfeepercent": NOT_NUMBERS,
    "retry_for": NOT_WHOLE,
    "maxdelay": NOT_WHOLE,
    "exemptfee": NOT_AMOUNTS,
    "localinvreqid": NOT_HASHES,
    "exclude": [
        "1x2x3", NODE, 7, {}, True, [7], [None], [[]], ["x"], [""], ["1x2"], ["1x2x3/2"], ["1x2x3/"], [NODE[:-2]],
        [NODE, "nonsense"], ["16777216x0x0/0"],
    ],
    "maxfee": NOT_AMOUNTS,
    "description": [True, [], {}],
    "partial_msat": [*NOT_AMOUNTS, 0],
}  # fmt: skip


def test_every_parameter_has_its_mistakes() -> None:
    assert tuple(WRONG) == PARAMETERS


@pytest.mark.parametrize("name", PARAMETERS)
def test_mistakes_of_type(name: str) -> None:
    """-32602 that begins with the parameter's name; nothing is guessed."""
    for value in WRONG[name]:
        message = refused({"bolt11": "lnbc1", name: value})
        assert message.startswith(f"{name}: "), (value, message)
        position = PARAMETERS.index(name)
        assert refused(["lnbc1", *[None] * (position - 1), value] if position else [value]) == message


RIGHT: list[tuple[str, Any, str, Any]] = [
    ("riskfactor", 0, "riskfactor", 0),
    ("riskfactor", "12.5", "riskfactor", Decimal("12.5")),
    ("maxfeepercent", 250, "maxfeepercent", 250),
    ("maxfeepercent", 1e-07, "maxfeepercent", Decimal("0.0000001")),
    ("maxfeepercent", 0.1, "maxfeepercent", Decimal("0.1")),
    ("retry_for", 0, "retry_for_s", 0),
    ("retry_for", "15", "retry_for_s", 15),
    ("maxdelay", (1 << 32) - 1, "maxdelay_blocks", (1 << 32) - 1),
    ("exemptfee", 0, "exemptfee_msat", 0),
    ("maxfee", "0sat", "maxfee_msat", 0),
    ("label", 7, "label", "7"),
    ("label", "", "label", ""),
    ("description", "é", "description", "é"),
    ("exclude", [], "exclude_channels", frozenset()),
]


@pytest.mark.parametrize(("name", "value", "field", "read"), RIGHT, ids=lambda x: str(x)[:20])
def test_what_is_taken(name: str, value: Any, field: str, read: Any) -> None:
    assert getattr(parse_request({"bolt11": "lnbc1", name: value}), field) == read


@pytest.mark.parametrize("name", ["maxfeepercent", "exemptfee"])
def test_one_kind_of_limit(name: str) -> None:
    """Even where the value is the default, or zero."""
    for value in (0, 1):
        assert refused({"bolt11": "lnbc1", "maxfee": 0, name: value}).startswith(f"{name}: maxfee replaces it")
    assert parse_request({"bolt11": "lnbc1", "maxfee": 1, name: None}).maxfee_msat == 1


# --- fee limits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "amount_msat", "limit_msat", "words"),
    [
        ({}, 100_000, 5_000, "exemptfee 5000msat"),
        ({}, 1_000_000, 5_000, "exemptfee 5000msat"),
        ({}, 1_000_199, 5_000, "exemptfee 5000msat"),
        ({}, 1_000_200, 5_001, "maxfeepercent 0.5 % = 5001msat"),
        ({}, 100_000_000, 500_000, "maxfeepercent 0.5 % = 500000msat"),
        ({"exemptfee": 0}, 199, 0, "exemptfee 0msat"),
        ({"exemptfee": 0}, 200, 1, "maxfeepercent 0.5 % = 1msat"),
        ({"maxfeepercent": 0}, 10**12, 5_000, "exemptfee 5000msat"),
        ({"maxfeepercent": 0, "exemptfee": 0}, 10**12, 0, "exemptfee 0msat"),
        ({"maxfeepercent": 200, "exemptfee": 0}, 7, 14, "maxfeepercent 200 % = 14msat"),
        ({"maxfeepercent": 0.1, "exemptfee": 0}, 3_000, 3, "maxfeepercent 0.1 % = 3msat"),
        ({"maxfeepercent": "0.3333333333333333", "exemptfee": 0}, 3 * 10**18, 9_999_999_999_999_999, None),
        ({"maxfee": 0}, 10**12, 0, "maxfee 0msat"),
        ({"maxfee": "1sat"}, 1, 1_000, "maxfee 1000msat"),
        ({"maxfeepercent": 10**9}, MAX_MSAT, MAX_MSAT, None),
    ],
    ids=str,
)
def test_fee_limits(params: dict, amount_msat: int, limit_msat: int, words: str | None) -> None:
    """A fee at or below exemptfee is never too much; a percentage is rounded down."""
    request = parse_request({"bolt11": "lnbc1", **params})
    assert request.fee_limit_msat(amount_msat) == limit_msat
    if words is not None:
        assert request.fee_limit_words(amount_msat) == words


@pytest.mark.parametrize("name", ["bolt11", "exclude", "label", "maxfee", "retry_for"])
def test_arrays_in_arrays_are_none_of_the_parameters(name: str) -> None:
    deep = json.loads("[" * 900 + "]" * 900)
    with pytest.raises(PayError) as caught:
        parse_request({"bolt11": "lnbc1", name: deep})
    assert caught.value.code == -32602 and name in caught.value.message


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("riskfactor", 1_000_000_000, True),
        ("riskfactor", "1000000000.1", False),
        ("riskfactor", "1e-18", True),
        ("riskfactor", "9e-19", False),
        ("riskfactor", "0e-30", True),
        ("riskfactor", "0." + "1" * 38, True),
        ("riskfactor", "0." + "1" * 39, False),
        ("riskfactor", True, False),
        ("riskfactor", [1], False),
        ("riskfactor", Decimal("0.5"), True),
        ("retry_for", "0" * 15 + "60", True),
        ("retry_for", "0" * 18 + "6", True),
        ("retry_for", "0" * 19 + "6", False),
        ("retry_for", "-6", False),
        ("retry_for", "6.0", False),
        ("localinvreqid", "ab" * 32, True),
        # Python reads bytes with blanks between them.
        ("localinvreqid", "ab " * 32, False),
        ("label", 1.5, True),
        ("label", "grüße 🎉", True),
        ("label", "half a pair: \ud83c", False),
        ("exclude", ["half a pair: \ud83c"], False),
    ],
)
def test_the_edges_of_what_is_taken(name: str, value: Any, taken: bool) -> None:
    """The last value that is read, and the first that is not."""
    if taken:
        parse_request({"bolt11": "lnbc1", name: value})
        return
    with pytest.raises(PayError) as error:
        parse_request({"bolt11": "lnbc1", name: value})
    assert error.value.code == Code.INVALID_PARAMS and error.value.message.startswith(f"{name}: ")
