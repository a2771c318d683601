"""Several choices with one draw: a draw of Hypothesis takes 100 us, and a small network has a hundred choices."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from hypothesis import strategies as st


def one_of_each(*options: Sequence[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """A tuple with one of each sequence; shrinks towards the first ones."""

    def taken(number: int) -> tuple[Any, ...]:
        chosen = []
        for some in options:
            number, at = divmod(number, len(some))
            chosen.append(some[at])
        return tuple(chosen)

    return st.integers(0, prod(map(len, options)) - 1).map(taken)
