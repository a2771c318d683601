"""What an all-knowing sender could do, for thousands of payments: true balances as arrays, SciPy's searches.

The same questions as `pay.sim.network.oracle` answers one at a time: the most that could arrive (a maximum flow
over true balances, without fees), and the least that it costs. For that the amount is cut into 1, 4 and 16 equal
parts, each sent the cheapest way that is left (smaller ones where no route carries it, as long as there are not
too many), and the cheapest of the three holds. It can be paid, so it is an upper bound of the least possible; a
sender may come out a little below. What is cheap may count fees alone, or fees and the price of locked time.

Beside a sender that makes few parts the cheapest of many is no fair measure: so there is also the sender that
knows all balances and makes as few parts as it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import dijkstra, maximum_flow

from pay.sim.network.world import World
from pay.units import NodeId, fee_msat

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cheapest:
    """The fee of the cheapest way found, of how many parts it is, and its fee with the price of locked time."""

    fee_msat: int
    parts: int
    cost_msat: float = 0.0


class Truth:
    """The true balances of a world as `source` could use them; taken once, the world must not change."""

    def __init__(self, world: World, source: NodeId):
        self._number = {node: number for number, node in enumerate(world.nodes)}
        self._us = self._number[source]
        rows: list[tuple[int, ...]] = []
        for channel in world.channels.values():
            for direction, policy in enumerate(channel.policies):
                start = channel.nodes[direction].id
                own = start == source
                if own or policy.enabled:
                    rows.append((
                        self._number[start], self._number[channel.nodes[1 - direction].id],
                        0 if own else policy.fee_base_msat, 0 if own else policy.fee_ppm,
                        0 if own else policy.htlc_min_msat, channel.spendable_msat(start) if own
                        else min(channel.spendable_msat(start), policy.htlc_max_msat),
                        channel.spendable_msat(start), 0 if own else policy.cltv_delta,
                    ))  # fmt: skip
        rows.sort(key=lambda row: row[1])
        table = np.array(rows, np.int64).T
        self._start, self._end, self._base, self._ppm, self._least, self._most, self._room, self._delta = table
        self._n = len(self._number)
        shape = (self._n, self._n)
        self._pairs = coo_array((self._room // 1000, (self._start, self._end)), shape=shape).tocsr()
        self._pairs.sum_duplicates()

    def max_flow_msat(self, payee: NodeId, enough_msat: int) -> int:
        """The most that could arrive, exact to 1 sat and up to twice `enough_msat`."""
        # SciPy counts in 32 bits: nothing of more than twice the amount is needed.
        most = min(2 * enough_msat // 1000, 2**31 - 1)
        pairs = csr_array(
            (np.minimum(self._pairs.data, most).astype(np.int32), self._pairs.indices, self._pairs.indptr),
            shape=self._pairs.shape,
        )
        flow = int(maximum_flow(pairs, self._us, self._number[payee]).flow_value)
        return min(flow * 1000, 2 * enough_msat)

    def cheapest(
        self,
        payee: NodeId,
        amount_msat: int,
        most_parts: int,
        cuts: Sequence[int] = (1, 4, 16),
        block_price: float = 0.0,
    ) -> Cheapest | None:
        """None if so many parts were not found that carry it together, which does not say that there are none.

        `block_price` is what a block of delay costs for each msat that is locked.
        """
        number = self._number[payee]
        found = [self._cut(number, amount_msat, -(-amount_msat // cut), most_parts, block_price) for cut in cuts]
        return min((way for way in found if way is not None), key=lambda way: way.cost_msat, default=None)

    def fewest(
        self, payee: NodeId, amount_msat: int, most_parts: int, block_price: float = 0.0
    ) -> Cheapest | None:
        """In as few parts as are found to do, and for these the cheapest that are found.

        For each number of parts: the cheapest route that carries an even share of what is left, filled as far as
        it goes.
        """
        for parts in range(1, most_parts + 1):
            found = self._in_parts(self._number[payee], amount_msat, parts, block_price)
            if found is not None:
                return found
        return None

    def _in_parts(self, payee: int, amount_msat: int, most_parts: int, block_price: float) -> Cheapest | None:
        used = np.zeros(len(self._room), np.int64)
        left, fee, cost = amount_msat, 0, 0.0
        for parts in range(most_parts, 0, -1):
            share = -(-left // parts)
            found = self._route(payee, share, used, block_price)
            if found is None:
                return None
            arcs, amounts = found
            part = share if share == left else min(left, self._most_along(arcs, used))
            amounts = self._carried(arcs, part) if part > share else amounts
            part = max(part, share)
            used[arcs] += amounts
            fee += int(amounts[-1]) - part
            cost += int(amounts[-1]) - part + part * block_price * int(self._delta[arcs].sum())
            left -= part
            if not left:
                return Cheapest(fee, most_parts - parts + 1, cost)
        return None

    def _most_along(self, arcs: Sequence[int], used: Ints) -> int:
        """About what arrives if these arcs, the payee's first, are filled: never too much."""
        most = min(int(self._most[arcs[-1]]), int(self._room[arcs[-1]] - used[arcs[-1]]))
        for arc in arcs[-2::-1]:
            most = (most - int(self._base[arc])) * 1_000_000 // (1_000_000 + int(self._ppm[arc]))
            most = min(most, int(self._most[arc]), int(self._room[arc] - used[arc]))
        return most

    def _carried(self, arcs: Sequence[int], amount: int) -> list[int]:
        """What each of these arcs carries, the payee's first, for so much to arrive."""
        carried = [amount]
        for arc in arcs[:-1]:
            carried.append(carried[-1] + fee_msat(carried[-1], int(self._base[arc]), int(self._ppm[arc])))
        return carried

    def _cut(
        self, payee: int, amount_msat: int, part: int, most_parts: int, block_price: float
    ) -> Cheapest | None:
        used = np.zeros(len(self._room), np.int64)
        left, fee, parts, cost = amount_msat, 0, 0, 0.0
        while left:
            part = min(part, left)
            if parts - (-left // part) > most_parts:
                return None
            found = self._route(payee, part, used, block_price)
            if found is None:
                part = -(-part // 2)
                continue
            arcs, amounts = found
            used[arcs] += amounts
            fee += int(amounts[-1]) - part
            cost += int(amounts[-1]) - part + part * block_price * int(self._delta[arcs].sum())
            left -= part
            parts += 1
        return Cheapest(fee, parts, cost)

    def _route(
        self, payee: int, amount: int, used: Ints, block_price: float
    ) -> tuple[list[int], list[int]] | None:
        """Arcs from the payee back to us and what each carries, fees on top."""
        shut: list[int] = []
        while True:
            able = (self._least <= amount) & (np.minimum(self._most, self._room - used) >= amount)
            able[shut] = False
            arcs = np.flatnonzero(able)
            fee = self._base[arcs] + amount * self._ppm[arcs] / 1e6 + 1e-3
            fee += self._delta[arcs] * (amount * block_price)
            starts = self._start[arcs].astype(np.int32)
            indptr = np.searchsorted(self._end[arcs], np.arange(self._n + 1)).astype(np.int32)
            matrix = csr_array((fee, starts, indptr), shape=(self._n, self._n))
            distance, onward = dijkstra(matrix, indices=payee, return_predecessors=True)
            if not np.isfinite(distance[self._us]):
                return None
            blocked, path = None, [self._us]
            while path[-1] != payee:
                path.append(int(onward[path[-1]]))
            found: list[int] = []
            carried = [amount]
            for start, end in zip(path[-2::-1], path[:0:-1], strict=True):
                low, high = int(indptr[end]), int(indptr[end + 1])
                between = np.flatnonzero(starts[low:high] == start) + low
                arc = int(arcs[between[np.argmin(fee[between])]])
                if carried[-1] > min(self._most[arc], self._room[arc] - used[arc]):
                    blocked = arc
                    break
                found.append(arc)
                carried.append(carried[-1] + fee_msat(carried[-1], int(self._base[arc]), int(self._ppm[arc])))
            if blocked is None:
                return found, carried[:-1]
            # The fees on top are too much for it.
            shut.append(blocked)
