"""What routes are chosen by, beside their fees: one value, from the options to the query and the journal.

A plain value, importable without numpy or SciPy. A new preference is a field here, a row in `pay.app.options` and
a row in docs/options.md and README: all that hands it on hands on the whole.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the payer would rather have, whatever the amount.

    The ppm of a price are of the amount that is asked for, and come on top of its msat.

    Parameters
    ----------
    riskfactor
        Annual cost in percent of funds locked by delay (lightning-pay(7)).
    failure_cost_msat, failure_cost_ppm
        Price of one nat of failure: for 500,000 sat 146 sat more are paid for a plan that fails half as often. A
        large payment needs many channels, and each failure costs it as much time as a small one.

        On Core Lightning's simulated mainnet 22 of 39 payments of 500,000 sat were made without a failure at 10
        sat and 100 ppm, 24 at about this price and 28 at 50 sat and 1,000 ppm, for 345, 402 and 518 ppm in fees;
        the builtin `pay` made 21 for 490. At this price fees stay below nine tenths of its, and first tries are
        more; at 1,000 ppm they are as dear as its (python -m tests.bench.race, python -m tests.bench frontier).
    part_cost_msat, part_cost_ppm
        What each further part must save: 11 sat of a payment of 100,000, 45 of 5,000,000. An HTLC is work for all
        nodes on its way, and one channel that has run empty fails all parts that go over it. 20 ppm would save two
        HTLCs in ten at 500,000 sat for 2 % more in fees, but at 1,000,000 sat as many for 23 % more in fees and
        locked time.
    second_cost_msat
        Price of one second that an HTLC is believed to take, where that is known.
    min_part_msat
        The least that a route of several should deliver, 1,000 sat: less is mostly dust, and is planned only where
        there is no other way. That parts are few is the matter of their price, not of this limit: one payee in ten
        cannot be sent 10,000 sat in one part, and with that as the least part, 100,000 sat cost a fifth more in
        fees.
    randomness
        How much of the price of locked time is drawn for each node, 0 (off) to 1; see `noise`. With any, the sizes
        of several parts are drawn a little as well. This much spreads equal payments over the nodes between by one
        bit of entropy, for a sixth more delay and no more fees (python -m tests.bench privacy).
    seed
        The same gives the same draws.
    """

    riskfactor: float = 10.0
    failure_cost_msat: int = 10_000
    failure_cost_ppm: int = 400
    part_cost_msat: int = 10_000
    part_cost_ppm: int = 7
    second_cost_msat: int = 0
    min_part_msat: int = 1_000_000
    randomness: float = 0.85
    seed: int = 0
