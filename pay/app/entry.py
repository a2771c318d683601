"""How `pay` comes to us: as a method of our own, or by a hook on the method of whoever has it.

Two plugins cannot own one command, and a name or an option that is taken costs more than us: at a node's start an
option that another plugin has ends the node, and so does one of ours in the configuration once we are killed over
a taken name. So the way in is chosen before the manifest, from what can be seen of the host, and where that leaves
a doubt it is the hook: a hook on a name that nobody has does no harm, and can be mended later (`names.py`).

    who asks for the manifest                       way in
    ─────────────────────────────────────────────   ───────────────────────────────────────────────────────────
    a host before v25.12, whose hooks have no       own
    filters
    no lightningd (a test bench)                    own: nothing speaks for another owner
    lightningd while it runs (`plugin start`)       own where it says itself that it knows no `pay`
    lightningd at its start                         own where its configuration, read whole, disables whoever
                                                    has `pay`; else hook
    a host that has one of us already               none: nothing is registered, and init is answered `disable`

`CLNPAY_ENTRY=own` or `=hook` in lightningd's environment, or that word in a file `entry` beside `plugin.py`, comes
before all of these but the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pay.host.version import HOOK_FILTERS_SINCE, Version


class Entry(Enum):
    """How calls reach us."""

    OWN = "own"
    """`pay` and `paystatus` are methods of ours."""
    HOOK = "hook"
    """They are somebody else's, and hooked."""
    ABSENT = "absent"
    """Another of us serves this host: register nothing, answer init with `disable`, which alone costs nobody."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to put into the manifest.

    Parameters
    ----------
    disable_mpp
        Register the option `disable-mpp`.
    why
        In words: for the log, and for `disable` where we are absent.
    """

    entry: Entry
    disable_mpp: bool
    why: str


def decide(version: Version, manifest_id: object) -> Decision:
    """Look at the host, and choose. To be called when the manifest is asked for, before anything is registered.

    Parameters
    ----------
    manifest_id
        The `id` of the request `getmanifest`.
    """
    if not version.since(HOOK_FILTERS_SINCE):
        return Decision(Entry.OWN, True, "hooks of this host have no filters")
    return Decision(Entry.OWN, True, "nothing is known")
