"""Amounts against `Decimal`, and what is written is read back."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from pay.commands.pay import parse_request
from pay.payment.terms import PayRequest
from pay.units import MAX_MSAT, Scid, ScidDir, format_msat, format_scid, parse_msat, parse_scid

UNITS = {"": (0, 0), "msat": (0, 0), "sat": (3, 3), "btc": (11, 11)}
"""Decimal places that a unit takes, and its power of ten in msat."""

FRACTIONS = st.text("0123456789", min_size=1, max_size=14)
NUMBERS = st.tuples(st.integers(0, 10**20 - 1) | st.integers(0, 10**8), st.none() | FRACTIONS)


@given(NUMBERS, st.sampled_from(list(UNITS)))
def test_an_amount_is_exact_or_refused(number: tuple[int, str | None], unit: str) -> None:
    whole, fraction = number
    written = str(whole) + ("" if fraction is None else "." + fraction)
    places, power = UNITS[unit]
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(written).scaleb(power)
    well_formed = fraction is None if places == 0 else len(fraction or "") <= places
    well_formed &= unit != "btc" or fraction is not None
    if well_formed and exact <= MAX_MSAT:
        assert parse_msat(written + unit) == exact
    else:
        try:
            parse_msat(written + unit)
        except ValueError:
            return
        raise AssertionError("taken")


@given(st.text(max_size=12) | st.text("0123456789.smabtc", max_size=12))
def test_any_text(text: str) -> None:
    """A number in the range or a ValueError, whatever the text."""
    with suppress(ValueError):
        assert 0 <= parse_msat(text) <= MAX_MSAT


@given(st.integers(0, MAX_MSAT))
def test_amounts_for_people_are_exact(amount_msat: int) -> None:
    assert parse_msat(format_msat(amount_msat).replace(",", "").replace(" ", "")) == amount_msat


@given(st.integers(0, (1 << 64) - 1), st.integers(0, 1))
def test_channels_are_read_as_written(number: int, direction: int) -> None:
    assert parse_scid(format_scid(number)) == number
    named = ScidDir(Scid(number), direction)
    assert ScidDir.parse(str(named)) == named


PERCENTS = st.decimals(0, 10**6, places=6) | st.floats(0, 1_000).map(repr) | st.integers(0, 1_000).map(str)


@given(st.integers(1, MAX_MSAT), PERCENTS, st.integers(0, 10**9))
def test_the_fee_limit_is_exact(amount_msat: int, percent: Decimal | str, exempt: int) -> None:
    """Never a msat above what the caller allows, and never one less than a whole one."""
    if 0 < Decimal(percent) < Decimal("1e-17"):
        return
    request: PayRequest = parse_request(
        {"bolt11": "x", "maxfeepercent": str(percent), "exemptfee": exempt}  # as JSON, but without its floats
    )
    with localcontext() as context:
        context.prec = 800
        share = int(Decimal(percent) * amount_msat / 100)
    assert request.fee_limit_msat(amount_msat) == min(MAX_MSAT, max(exempt, share))
