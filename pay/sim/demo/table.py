"""The table that the demonstration prints: its columns and rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from pay.units import format_msat

COLUMNS = (
    ("payee", 22), ("amount", 17), ("result", 9), ("fee", 14), ("hops", 4), ("parts", 5), ("tries", 5), ("time", 7)
)  # fmt: skip


@dataclass(slots=True)
class Shown:
    """How a payment ended."""

    result: str
    words: str
    fee_msat: int | None = None
    hops: int | None = None
    tries: int = 0
    seconds: float = 0.0
    parts: int = 0
    routes: list[str] = field(default_factory=list)


def counted(count: int, word: str) -> str:
    """So many of a thing, in words."""
    return f"{count} {word}{'' if count == 1 else 's'}"


class Table:
    """Prints row by row, in columns that are wide enough for the largest amount."""

    def __init__(self, largest_msat: int):
        widths = dict(COLUMNS)
        self._widths = {**widths, "amount": max(widths["amount"], len(format_msat(largest_msat)))}

    def head(self) -> None:
        """The names of the columns."""
        self.row(list(self._widths), "")

    def row(self, cells: list[str], why: str) -> None:
        """One line; `why` follows the columns."""
        padded = [
            cell.ljust(width) if name in ("payee", "result") else cell.rjust(width)
            for cell, (name, width) in zip(cells, self._widths.items(), strict=True)
        ]
        print(("  ".join(padded) + "  " + why).rstrip(), flush=True)
