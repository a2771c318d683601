"""The way in, of what was seen of the host: a row for each case."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pay.app import entry
from pay.app.entry import Answers, Decision, Entry, Told, choose, decide, overridden
from pay.host.launch import Launch, Setting
from pay.host.only_one import Claim
from pay.host.version import Version

OLD, PLAIN, LATER = Version(25, 9), Version(26, 6), Version(27, 3)
NOT_ASKED = Answers(Told.NOT_ASKED)

BUILTIN = ("autoclean", "offers", "pay", "cln-xpay")
DISABLED = Setting("disable-plugin", "pay")
XPAY_DISABLED = Setting("disable-plugin", "cln-xpay")
MPP = Setting("disable-mpp")


def started(
    *settings: Setting, unread: str = "", children: tuple[str, ...] | None = None, lightningd: bool | None = True
) -> Launch:
    return Launch(lightningd, 7, settings, unread, children)


WITHOUT_PAY = tuple(name for name in BUILTIN if name != "pay")
WITHOUT_BOTH = ("autoclean", "offers")


@pytest.mark.parametrize(
    ("version", "launch", "answers", "chosen", "disable_mpp"),
    [
        # No lightningd asks: nothing speaks for another owner.
        (PLAIN, started(lightningd=False), NOT_ASKED, Entry.OWN, True),
        (PLAIN, started(lightningd=False), Answers(Told.SILENT), Entry.OWN, True),
        # That cannot be seen.
        (PLAIN, started(lightningd=None, unread="?"), NOT_ASKED, Entry.HOOK, False),
        # The node starts; both witnesses, then each alone.
        (PLAIN, started(children=BUILTIN), NOT_ASKED, Entry.HOOK, False),
        (PLAIN, started(DISABLED, children=WITHOUT_PAY), NOT_ASKED, Entry.OWN, False),
        (PLAIN, started(DISABLED), NOT_ASKED, Entry.OWN, False),
        (PLAIN, started(unread="?", children=WITHOUT_PAY), NOT_ASKED, Entry.OWN, True),
        (PLAIN, started(), NOT_ASKED, Entry.HOOK, False),
        (PLAIN, started(unread="?"), NOT_ASKED, Entry.HOOK, False),
        (PLAIN, started(unread="?", children=BUILTIN), NOT_ASKED, Entry.HOOK, False),
        # They contradict each other.
        (PLAIN, started(DISABLED, children=BUILTIN), NOT_ASKED, Entry.HOOK, False),
        (PLAIN, started(children=WITHOUT_PAY), NOT_ASKED, Entry.HOOK, False),
        # What may not be all of the configuration says nothing, nor children among which none of the host's is.
        (PLAIN, started(DISABLED, unread="?"), NOT_ASKED, Entry.HOOK, False),
        (PLAIN, started(DISABLED, Setting("clear-plugins")), NOT_ASKED, Entry.HOOK, False),
        (PLAIN, started(unread="?", children=("sh",)), NOT_ASKED, Entry.HOOK, False),
        (PLAIN, started(Setting("disable-plugin", "/opt/pay")), NOT_ASKED, Entry.HOOK, False),
        # One in the configuration that nobody has would end the node.
        (PLAIN, started(DISABLED, MPP), NOT_ASKED, Entry.OWN, True),
        (PLAIN, started(MPP, children=BUILTIN), NOT_ASKED, Entry.HOOK, False),
        # cln-xpay has the name too.
        (LATER, started(DISABLED, children=WITHOUT_PAY), NOT_ASKED, Entry.HOOK, False),
        (LATER, started(DISABLED, XPAY_DISABLED, children=WITHOUT_BOTH), NOT_ASKED, Entry.OWN, False),
        (LATER, started(XPAY_DISABLED), NOT_ASKED, Entry.HOOK, False),
        # The host runs, and says so itself.
        (PLAIN, started(children=BUILTIN), Answers(Told.FREE, False), Entry.OWN, True),
        (PLAIN, started(children=BUILTIN), Answers(Told.FREE, True), Entry.OWN, False),
        (PLAIN, started(DISABLED), Answers(Told.TAKEN, False), Entry.HOOK, False),
        (PLAIN, started(DISABLED, children=WITHOUT_PAY), Answers(Told.SILENT), Entry.HOOK, False),
        (LATER, started(DISABLED, XPAY_DISABLED), Answers(Told.FREE, False), Entry.OWN, True),
    ],
)  # fmt: skip
def test_the_way_in(version: Version, launch: Launch, answers: Answers, chosen: Entry, disable_mpp: bool) -> None:
    decision = choose(version, launch, answers)
    assert (decision.entry, decision.disable_mpp) == (chosen, disable_mpp)
    assert decision.why


OWN, HOOK = Decision(Entry.OWN, True, "seen"), Decision(Entry.HOOK, False, "seen")


@pytest.mark.parametrize(
    ("chosen", "launch", "word", "entry", "disable_mpp"),
    [
        (HOOK, started(), "own", Entry.OWN, False), (OWN, started(), "own", Entry.OWN, True),
        (HOOK, started(), "hook", Entry.HOOK, False), (OWN, started(), "hook", Entry.HOOK, False),
        (OWN, started(DISABLED, MPP), "hook", Entry.HOOK, True),
        (HOOK, started(), "", Entry.HOOK, False), (OWN, started(), "absent", Entry.OWN, True),
        (HOOK, started(), "Own", Entry.HOOK, False),
    ],
)  # fmt: skip
def test_the_operators_word(chosen: Decision, launch: Launch, word: str, entry: Entry, disable_mpp: bool) -> None:
    decision = overridden(chosen, launch, word)
    assert (decision.entry, decision.disable_mpp) == (entry, disable_mpp)
    assert word in decision.why, "who looks for the reason sees his word"


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of which nobody is the plugin yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(entry.VARIABLE, raising=False)
    monkeypatch.setattr(entry, "WORDS", tmp_path / "entry")
    yield tmp_path
    if entry._claim is not None:
        entry._claim.give_up()


def test_old_hosts_are_not_hooked(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(entry.VARIABLE, "hook")
    assert decide(OLD, "cln:getmanifest#1").entry is Entry.OWN


@pytest.mark.parametrize(("written", "way"), [("hook\n", Entry.HOOK), (" own", Entry.OWN), ("", Entry.OWN)])
def test_a_file_beside_the_plugin_says_it(alone: Path, written: str, way: Entry) -> None:
    entry.WORDS.write_text(written)
    assert decide(PLAIN, "cln:getmanifest#1").entry is way


def test_the_environment_comes_before_the_file(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry.WORDS.write_text("hook")
    monkeypatch.setenv(entry.VARIABLE, "own")
    assert decide(PLAIN, "cln:getmanifest#1").entry is Entry.OWN


@pytest.mark.parametrize("version", [OLD, PLAIN, LATER])
def test_the_second_of_us_is_absent_whatever_is_wanted(
    alone: Path, version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(entry.VARIABLE, "own")
    first = Claim(os.getppid(), str(alone))
    assert first.take() is None
    decision = decide(version, "cln:getmanifest#1")
    assert (decision.entry, decision.disable_mpp) == (Entry.ABSENT, False)
    assert str(os.getpid()) in decision.why
    first.give_up()
    assert decide(version, "cln:getmanifest#1").entry is Entry.OWN


def test_a_directory_that_is_gone_costs_no_manifest(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = alone / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for version, way in ((PLAIN, Entry.HOOK), (OLD, Entry.OWN)):
        decision = decide(version, "cln:getmanifest#1")
        assert decision.entry is way
        assert "could not be looked at" in decision.why
