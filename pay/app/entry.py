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

import os
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from pay.app.options import DISABLE_MPP
from pay.host.launch import Launch, look
from pay.host.only_one import Claim
from pay.host.quick_call import ask
from pay.host.rpc import CallError, Unanswered
from pay.host.version import HOOK_FILTERS_SINCE, XPAY_OWNS_PAY_SINCE, Version
from pay.units import show

VARIABLE = "CLNPAY_ENTRY"
WORDS = Path(__file__).parents[2] / "entry"

_ASKED_S = 1.0
"""A host that runs answers within milliseconds, and waits for our manifest meanwhile."""
_NO_SUCH_COMMAND = -32601
_STARTS = "cln:"
"""So begins what lightningd asks a plugin of itself; before that stands the id of who called `plugin start`."""


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


class Told(Enum):
    """What a host that runs says of the name `pay`."""

    NOT_ASKED = "not asked"
    SILENT = "silent"
    FREE = "free"
    TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class Answers:
    """What a host that runs says.

    Parameters
    ----------
    has_disable_mpp
        Somebody has that option.
    """

    pay: Told
    has_disable_mpp: bool = True


def decide(version: Version, manifest_id: object) -> Decision:
    """Look at the host, and choose. To be called when the manifest is asked for, before anything is registered.

    Parameters
    ----------
    manifest_id
        The `id` of the request `getmanifest`.
    """
    try:
        return _seen(version, manifest_id)
    except Exception as error:
        # Whatever it is, the node needs a manifest, and one that is safe.
        old = not version.since(HOOK_FILTERS_SINCE)
        return Decision(Entry.OWN if old else Entry.HOOK, old, f"the host could not be looked at: {error!r}")


def _seen(version: Version, manifest_id: object) -> Decision:
    launch = look()
    global _claim
    _claim = Claim(launch.pid, os.getcwd())
    other = _claim.take()
    if other is not None:
        return Decision(Entry.ABSENT, False, f"it runs already, as process {other.pid}: this one is not needed")
    if not version.since(HOOK_FILTERS_SINCE):
        return Decision(Entry.OWN, True, "hooks of this host have no filters")
    answers = Answers(Told.NOT_ASKED)
    if not str(manifest_id).startswith(_STARTS):
        answers = _answers(os.path.join(os.getcwd(), launch.last("rpc-file", "lightning-rpc")))
    chosen = choose(version, launch, answers)
    return overridden(chosen, launch, os.environ.get(VARIABLE) or _first_word(WORDS))


_claim: Claim | None = None
"""Held until this process ends."""


def choose(version: Version, launch: Launch, answers: Answers) -> Decision:
    """The way in, of what was seen, from v25.12 on."""
    owners = ("pay", "cln-xpay") if version.since(XPAY_OWNS_PAY_SINCE) else ("pay",)
    match answers.pay:
        case Told.FREE:
            return Decision(Entry.OWN, not answers.has_disable_mpp, "the host has no `pay`")
        case Told.TAKEN:
            return Decision(Entry.HOOK, False, "the host has a `pay`")
        case Told.NOT_ASKED | Told.SILENT:
            pass
    if launch.lightningd is False:
        return Decision(Entry.OWN, True, "no lightningd has started this")
    if answers.pay is Told.SILENT:
        return Decision(Entry.HOOK, False, "the host does not say whether it has a `pay`")
    # One in the configuration that nobody has ends the node, and so does one that two have.
    configured = launch.has(DISABLE_MPP)
    if launch.all_gone(owners):
        return Decision(Entry.OWN, configured or bool(launch.unread), f"{' and '.join(owners)} disabled")
    if launch.all_gone(("pay",)):
        # Whether cln-xpay has the option as well cannot be known.
        return Decision(Entry.HOOK, False, "cln-xpay has `pay` in this version")
    if launch.unread:
        return Decision(Entry.HOOK, False, f"not known whether there is a `pay`: {launch.unread}")
    return Decision(Entry.HOOK, False, "the builtin `pay` is not disabled")


def overridden(chosen: Decision, launch: Launch, word: str) -> Decision:
    """The decision, or what the operator wants in its place."""
    if not word:
        return chosen
    if word not in (Entry.OWN.value, Entry.HOOK.value):
        return replace(chosen, why=f"{chosen.why} ({VARIABLE}={show(word)} is neither own nor hook)")
    entry = Entry(word)
    # With a hook the option is another plugin's, unless there is none and the configuration has it nevertheless.
    mine = chosen.disable_mpp and (entry is Entry.OWN or launch.has(DISABLE_MPP))
    return Decision(entry, mine, f"{VARIABLE}={word}")


def _answers(rpc_path: str) -> Answers:
    try:
        pay = Told.TAKEN
        try:
            ask(rpc_path, "help", {"command": "pay"}, _ASKED_S)
        except CallError as error:
            if error.code != _NO_SUCH_COMMAND:
                return Answers(Told.SILENT)
            pay = Told.FREE
        configs = ask(rpc_path, "listconfigs", {}, _ASKED_S)["configs"]
        return Answers(pay, DISABLE_MPP in configs)
    except (CallError, Unanswered, LookupError, TypeError):
        return Answers(Told.SILENT)


def _first_word(path: Path) -> str:
    try:
        words = path.read_text(errors="replace")[:100].split()
    except OSError:
        return ""
    return words[0] if words else ""
