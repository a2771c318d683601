"""Amounts, channels and nodes as callers write them."""

from __future__ import annotations

import pytest

from pay.units import (
    MAX_MSAT,
    Scid,
    ScidDir,
    direction_of,
    fee_msat,
    format_msat,
    format_scid,
    parse_msat,
    parse_node_id,
    parse_scid,
    show,
)


@pytest.mark.parametrize(
    ("written", "amount_msat"),
    [
        (0, 0),
        (1, 1),
        ("0", 0),
        ("1000", 1_000),
        ("1000msat", 1_000),
        ("007msat", 7),
        ("1sat", 1_000),
        ("1.5sat", 1_500),
        ("0.001sat", 1),
        ("1.123sat", 1_123),
        ("1.0btc", 100_000_000_000),
        ("0.5btc", 50_000_000_000),
        ("0.00000000001btc", 1),
        ("0.12345678901btc", 12_345_678_901),
        (MAX_MSAT, MAX_MSAT),
        ("21000000.0btc", MAX_MSAT),
    ],
)
def test_amounts(written: int | str, amount_msat: int) -> None:
    assert parse_msat(written) == amount_msat
    assert type(parse_msat(written)) is int


@pytest.mark.parametrize(
    "written",
    [
        -1, "-1", "-1sat", MAX_MSAT + 1, "21000000.00000000001btc", "9" * 20, "9" * 30, 10**30, 1.0, 1.5,
        True, False, None, [], {}, b"1", "", " ", "msat", "sat", "1 sat", " 1", "1\n", "1SAT", "1Sat", "+1", "1.5",
        "1.msat",
        "1.0msat", "1.sat", ".5sat", "1.1234sat", "1btc", "1.btc", "1.123456789012btc", "1e3", "1e3sat", "1_000",
        "1,000", "0x10", "NaN", "inf", "١", "１", "1sats", "1msats", "1mbtc", "1.5.5sat",
    ],
    ids=repr,
)  # fmt: skip
def test_no_amounts(written: object) -> None:
    """A sum that can be misread is refused, never rounded."""
    with pytest.raises(ValueError, match=r"should|is more than"):
        parse_msat(written)


def test_messages_stay_short() -> None:
    for written in ("x" * 10_000, -(10**4_000), 10**4_000, ["a"] * 10_000):
        with pytest.raises(ValueError, match=r"\.\.\.$") as caught:
            parse_msat(written)
        assert len(str(caught.value)) < 160
    assert show("a") == "'a'" and show(1) == "1"


@pytest.mark.parametrize(
    ("amount_msat", "words"),
    [
        (0, "0 sat"),
        (1, "0.001 sat"),
        (1_000, "1 sat"),
        (1_234_567, "1,234.567 sat"),
        (MAX_MSAT, "2,100,000,000,000,000 sat"),
    ],
)
def test_amounts_for_people(amount_msat: int, words: str) -> None:
    assert format_msat(amount_msat) == words


def test_fees() -> None:
    """BOLT 7's example: fee_base 200, 2,000 ppm of 4,999,999 is 10,199 msat in whole msat."""
    assert fee_msat(4_999_999, 200, 2_000) == 200 + 9_999
    assert fee_msat(999_999, 0, 1) == 0 and fee_msat(1_000_000, 0, 1) == 1
    # Where floats would be wrong: 21 million bitcoin at the largest rate.
    assert fee_msat(MAX_MSAT, 4_294_967_295, 4_294_967_295) == 4_294_967_295 + MAX_MSAT * 4_294_967_295 // 10**6


def test_channels() -> None:
    assert parse_scid("539268x845x1") == 539268 << 40 | 845 << 16 | 1
    assert parse_scid("0x0x0") == 0
    assert parse_scid("16777215x16777215x65535") == (1 << 64) - 1
    assert format_scid((1 << 64) - 1) == "16777215x16777215x65535"
    assert ScidDir.parse("539268x845x1/1") == ScidDir(parse_scid("539268x845x1"), 1)
    assert str(ScidDir(Scid(1 << 40), 0)) == "1x0x0/0" and ScidDir(Scid(1), 0).reverse == ScidDir(Scid(1), 1)


@pytest.mark.parametrize(
    "text",
    ["", "1x2", "1x2x3x4", "16777216x0x0", "0x16777216x0", "0x0x65536", "1X2X3", " 1x2x3", "1x2x3\n", "-1x2x3",
     "x2x3", "1:2:3", "1x2x3/0", "１x2x3", None, 1, b"1x2x3"],
    ids=repr,
)  # fmt: skip
def test_no_channels(text: object) -> None:
    with pytest.raises(ValueError, match="is not a short_channel_id"):
        parse_scid(text)


@pytest.mark.parametrize(
    "text", ["1x2x3", "1x2x3/", "1x2x3/2", "1x2x3/01", "1x2x3/0/", "/0", "1x2/0", "", None, 7, []]
)
def test_no_directions(text: object) -> None:
    with pytest.raises(ValueError, match="is not a short_channel_id"):
        ScidDir.parse(text)


def test_nodes() -> None:
    for text in ("02" + "ab" * 32, "03" + "AB" * 32):
        assert parse_node_id(text) == bytes.fromhex(text)
    short, long, odd = "02" + "ab" * 31, "02" + "ab" * 33, "02" + "zz" * 32
    for wrong in ("", "02", "04" + "ab" * 32, short, long, odd, None, 2, b"\x02" * 33):
        with pytest.raises(ValueError, match="is not a node id"):
            parse_node_id(wrong)
    assert direction_of(b"\x02" + bytes(32), b"\x03" + bytes(32)) == 0
    assert direction_of(b"\x03" + bytes(32), b"\x02" + bytes(32)) == 1
