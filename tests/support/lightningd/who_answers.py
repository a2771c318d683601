"""Who answers a call: the table of docs/front-door.md, which `tests/real/test_who_answers.py` tries.

Rows are a command and what it is given; columns are releases, the way in of the plugin, and what else is the case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from pay.host.version import HOOK_FILTERS_SINCE, OLDEST, Version


class Who(Enum):
    """Whose answer it is."""

    CLNPAY = "**clnpay**"
    PAY = "pay"
    XPAY = "xpay"
    NOBODY = "nobody"


class Given(Enum):
    """What is to be paid, or asked for."""

    BOLT11 = "BOLT 11 invoice"
    BOLT12 = "BOLT 12 invoice"
    OFFER = "offer"
    ADDRESS = "Lightning address"
    OTHER = "anything else"
    NOT_AT_WORK = "of nothing in work"


class Ended(Enum):
    """What has become of the plugin."""

    KILLED = "killed"
    STOPPED = "stopped"


ROWS = [
    *(("pay", given) for given in Given if given is not Given.NOT_AT_WORK),
    *(("xpay", given) for given in Given if given is not Given.NOT_AT_WORK),
    ("paystatus", Given.BOLT11), ("listpays", Given.NOT_AT_WORK),
]  # fmt: skip

NEWEST = (26, 6)
"""cln-xpay has `listpays` since then and answers `pay` by default, and `pay` and `paystatus` are deprecated."""


@dataclass(frozen=True, slots=True)
class Column:
    """A case.

    Parameters
    ----------
    who
        For each row.
    since, before
        Releases.
    options
        Of lightningd's command line.
    deprecated
        APIs that are deprecated are allowed, as they are unless the operator says otherwise.
    """

    title: str
    who: tuple[Who, ...]
    since: tuple[int, int]
    before: tuple[int, int] | None = None
    options: tuple[str, ...] = ()
    ended: Ended | None = None
    deprecated: bool = True

    def covers(self, version: Version) -> bool:
        """Whether this release has the case."""
        return version.since(self.since) and (self.before is None or not version.since(self.before))

    @property
    def releases(self) -> str:
        """In words."""
        first = str(Version(*self.since))
        if self.before is None:
            return f"{first} on"
        return f"{first} to {Version(*_LAST[self.before])}"


_LAST = {NEWEST: (26, 4), HOOK_FILTERS_SINCE: (25, 9)}
"""The releases before these."""


def _cells(pay: Who, pay_else: Who, xpay: Who, xpay_else: Who, paystatus: Who, listpays: Who) -> tuple[Who, ...]:
    return (pay, *[pay_else] * 4, xpay, *[xpay_else] * 4, paystatus, listpays)


_C, _P, _X, _N = Who.CLNPAY, Who.PAY, Who.XPAY, Who.NOBODY
_NO_PAY, _NO_XPAY = ("--disable-plugin=pay",), ("--disable-plugin=cln-xpay",)
_KILLED, _STOPPED = Ended.KILLED, Ended.STOPPED
_HOOK, _NEW = HOOK_FILTERS_SINCE, NEWEST

COLUMNS = [
    Column("own", _cells(_C, _C, _X, _X, _C, _C), OLDEST, _HOOK, options=_NO_PAY),
    Column("hook", _cells(_C, _P, _C, _X, _C, _P), _HOOK, _NEW),
    Column("hook", _cells(_C, _P, _C, _X, _C, _X), _NEW),
    Column("own", _cells(_C, _C, _C, _X, _C, _C), _HOOK, _NEW, options=_NO_PAY),
    Column("own", _cells(_C, _C, _C, _X, _C, _X), _NEW, options=_NO_PAY),
    Column("hook, cln-xpay disabled", _cells(_C, _P, _N, _N, _C, _P), _HOOK, _NEW, options=_NO_XPAY),
    Column("hook, cln-xpay disabled", _cells(_C, _P, _N, _N, _C, _N), _NEW, options=_NO_XPAY),
    Column("hook, deprecated APIs off", _cells(_C, _P, _C, _X, _C, _P), _HOOK, _NEW, deprecated=False),
    Column("hook, deprecated APIs off", _cells(_C, _N, _C, _X, _N, _X), _NEW, deprecated=False),
    Column("hook, then `kill -9`", _cells(_P, _P, _X, _X, _P, _P), _HOOK, _NEW, ended=_KILLED),
    Column("hook, then `kill -9`", _cells(_P, _P, _X, _X, _P, _X), _NEW, ended=_KILLED),
    Column("hook, then `plugin stop`", _cells(_P, _P, _X, _X, _P, _P), _HOOK, _NEW, ended=_STOPPED),
    Column("hook, then `plugin stop`", _cells(_X, _X, _X, _X, _P, _X), _NEW, ended=_STOPPED),
    Column("own, then `kill -9`", _cells(_N, _N, _X, _X, _N, _N), OLDEST, _NEW, options=_NO_PAY, ended=_KILLED),
    Column("own, then `kill -9`", _cells(_N, _N, _X, _X, _N, _X), _NEW, options=_NO_PAY, ended=_KILLED),
]


SHOWN: Mapping[str, Sequence[tuple[str, Given]]] = {
    "`pay` of a BOLT 11 invoice": [("pay", Given.BOLT11)],
    "`pay` of all else": [row for row in ROWS if row[0] == "pay" and row[1] is not Given.BOLT11],
    "`xpay` of a BOLT 11 invoice": [("xpay", Given.BOLT11)],
    "`xpay` of all else": [row for row in ROWS if row[0] == "xpay" and row[1] is not Given.BOLT11],
    "`paystatus`": [("paystatus", Given.BOLT11)],
    "`listpays`": [("listpays", Given.NOT_AT_WORK)],
}
"""Columns of the document; what is in one has one answer in every case."""


def lines() -> Iterator[str]:
    """The table of the document, a line a case."""
    yield "| way in | releases | " + " | ".join(SHOWN) + " |"
    yield "|---" * (len(SHOWN) + 2) + "|"
    for column in COLUMNS:
        who = dict(zip(ROWS, column.who, strict=True))
        cells = [" or ".join(sorted({who[row].value for row in rows})) for rows in SHOWN.values()]
        yield f"| {column.title} | {column.releases} | " + " | ".join(cells) + " |"
