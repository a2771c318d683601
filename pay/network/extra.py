"""The arcs that exist for one query: rows as they are made, then columns as in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pay.network.graph import Flags, Ints, Keys, Numbers
from pay.units import ScidDir

NOT_OWN = -1


class ExtraArcs(NamedTuple):
    """The rows that exist for one query, columns as in `ChannelGraph`; m rows in no particular order.

    Attributes
    ----------
    scid, direction : uint64[m], int8[m]
        What a route names.
    own : int32[m]
        Index into `Overlay.own` of a channel of ours, whose `capacity_msat` is what is spendable for certain;
        `NOT_OWN` for the others.
    """

    source: Numbers
    target: Numbers
    fee_base_msat: Ints
    fee_ppm: Ints
    cltv_delta: Numbers
    htlc_min_msat: Ints
    htlc_max_msat: Ints
    capacity_msat: Ints
    enabled: Flags
    scid: Keys
    direction: npt.NDArray[np.int8]
    own: Numbers


@dataclass(slots=True)
class ExtraArc:
    """One of them; columns by the same names."""

    source: int
    target: int
    fee_base_msat: int
    fee_ppm: int
    cltv_delta: int
    htlc_min_msat: int
    htlc_max_msat: int
    capacity_msat: int
    own: int = NOT_OWN


_FIGURES = attrgetter(*(field.name for field in fields(ExtraArc)))


def columns_of(rows: Mapping[ScidDir, ExtraArc]) -> ExtraArcs:
    """The same, by their names."""
    figures = np.array([_FIGURES(row) for row in rows.values()], np.int64).reshape(len(rows), 9)
    source, target, base, ppm, cltv, low, high, capacity, own = figures.T.copy()
    return ExtraArcs(
        source=source.astype(np.int32),
        target=target.astype(np.int32),
        fee_base_msat=base,
        fee_ppm=ppm,
        cltv_delta=cltv.astype(np.int32),
        htlc_min_msat=low,
        htlc_max_msat=high,
        capacity_msat=capacity,
        enabled=np.ones(len(rows), np.bool_),
        scid=np.array([named.scid for named in rows], np.uint64),
        direction=np.array([named.direction for named in rows], np.int8),
        own=own.astype(np.int32),
    )
