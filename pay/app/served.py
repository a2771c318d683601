"""The option `pay-serve`: which of the host's commands we serve where they are called. `setconfig` changes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pay.units import show

SERVE = "pay-serve"
ALL, NONE = "all", "none"


@dataclass(frozen=True, slots=True)
class Names:
    """Some of these names, in a list with commas; or `all`, or `none`."""

    name: str
    names: tuple[str, ...]
    about: str

    @property
    def kind(self) -> str:
        """lightningd's type of it."""
        return "string"

    @property
    def default(self) -> str:
        """All of them."""
        return ALL

    @property
    def shown(self) -> Any:
        """The default, as `listconfigs` shows it."""
        return self.default

    def read(self, value: Any) -> str:
        """The list, as it is written. Raises ValueError."""
        text = str(value).strip()
        if text not in (ALL, NONE) and not set(_split(text)) <= set(self.names):
            raise ValueError(
                f"{self.name} should be {ALL}, {NONE} or some of {','.join(self.names)}, not {show(value)}"
            )
        return text

    def meant(self, text: str) -> frozenset[str]:
        """The names in a list that was read."""
        match text:
            case "all":
                return frozenset(self.names)
            case "none":
                return frozenset()
        return frozenset(_split(text))


def _split(text: str) -> Iterable[str]:
    return (part.strip() for part in text.split(","))


SERVED = Names(
    SERVE,
    ("pay", "paystatus", "xpay", "listpays"),
    "Which of the node's own commands are answered here when they are called; the others by the node itself",
)
