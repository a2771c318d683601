"""Under which names commands reach us, with each way in and each release of the host."""

from __future__ import annotations

import pytest

from pay.app.entry import Entry
from pay.app.reach import reach
from pay.commands.table import COMMANDS
from pay.host.version import Version

ALL = {command.name for command in COMMANDS}
RELEASES = [(24, 11), (25, 2), (25, 5), (25, 9), (25, 12), (26, 4), (26, 6), (27, 3)]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("entry", [Entry.OWN, Entry.HOOK])
def test_no_command_has_two_ways(entry: Entry, release: tuple[int, int]) -> None:
    """And before hooks had filters there is none."""
    commands = reach(entry, Version(*release), COMMANDS)
    assert commands.owned.keys().isdisjoint(commands.hooked)
    if release >= (25, 12):
        assert commands.owned.keys() | commands.hooked.keys() == ALL
    else:
        assert not commands.hooked


@pytest.mark.parametrize(
    ("entry", "release", "hooked"),
    [
        (Entry.OWN, (25, 9), set()),
        (Entry.OWN, (25, 12), {"xpay"}),
        (Entry.OWN, (26, 6), {"xpay", "listpays"}),
        (Entry.HOOK, (25, 12), {"pay", "paystatus", "xpay", "listpays"}),
        (Entry.HOOK, (27, 3), {"pay", "paystatus", "xpay", "listpays"}),
    ],
)
def test_what_is_hooked(entry: Entry, release: tuple[int, int], hooked: set[str]) -> None:
    assert set(reach(entry, Version(*release), COMMANDS).hooked) == hooked & ALL


def test_where_another_of_us_serves_nothing_is_ours() -> None:
    commands = reach(Entry.ABSENT, Version(26, 6), COMMANDS)
    assert not commands.owned and not commands.hooked
