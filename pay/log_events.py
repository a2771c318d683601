"""All events that a line of the log can begin with, and who writes such a line.

A line is an event's name and `key=value`s, sometimes with words behind. Operators search for the names and other
programs read them, so a name does not change. `docs/log-events.md` is made from this table.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """As lightningd calls them, with the number that `logging` has for each."""

    DEBUG = "debug"
    INFO = "info"
    UNUSUAL = "unusual"
    BROKEN = "broken"

    @property
    def number(self) -> int:
        return _NUMBERS[self]


_NUMBERS = {
    Level.DEBUG: logging.DEBUG,
    Level.INFO: logging.INFO,
    Level.UNUSUAL: logging.WARNING,
    Level.BROKEN: logging.ERROR,
}

_D, _I, _U, _B = Level.DEBUG, Level.INFO, Level.UNUSUAL, Level.BROKEN
_PAYMENT = "payment_hash groupid"
_BUG = "Report it, with the lines of the log around it."


@dataclass(frozen=True, slots=True, eq=False)
class About:
    """What is to be known of an event.

    Parameters
    ----------
    levels
        Those that it can have; more than one where it depends on the reason.
    when
        What has happened.
    fields
        Names of the values, in their order, with spaces between; those in brackets are not on each line.
    do
        What an operator does about it; empty where nothing is to be done.
    """

    levels: tuple[Level, ...]
    when: str
    fields: str = ""
    do: str = ""


class LogEvent(Enum):
    """Each with what is to be known of it."""

    # --- calls of `pay` and of other commands ---
    PAY_REFUSED = About(
        (_I,),
        "A call of `pay` was answered with an error, and no payment of it has begun.",
        "[payment_hash] [payee] [amount_msat] code message",
    )
    PAYMENT_ATTACHED = About(
        (_I,), "A second call for an invoice waits with the payment that is in progress.", f"{_PAYMENT} callers"
    )
    PAYMENT_HANDED_ON = About(
        (_I,), "A payment that this plugin cannot make yet is made by the node's own `xpay`.", "payment_hash"
    )
    PAYMENT_REPEATED = About(
        (_I,), "A call for an invoice that was paid before got the same answer again.", "payment_hash created_at"
    )
    ANSWER_WAITS = About(
        (_D,),
        "Not paid, but somebody else may still have a part on its way: the answer waits.",
        "payment_hash seconds for",
    )
    PAY_CRASHED = About(
        (_B,), "A call of `pay` met a bug; it is answered as the node's table then shows.", "[payment_hash]", _BUG
    )
    CHECK_CRASHED = About((_B,), "`check pay` met a bug.", do=_BUG)
    PAYSTATUS_FAILED = About((_B,), "`paystatus` met a bug.", do=_BUG)
    LISTPAYS_FAILED = About((_B,), "`listpays` met a bug.", do=_BUG)
    PAYLIQUIDITY_FAILED = About((_B,), "`payliquidity` met a bug.", do=_BUG)
    HTLCS_UNKNOWN = About(
        (_U,), "The node did not list its HTLCs: `paystatus` does not say where parts are.", "error"
    )
    ARCHIVE_UNREADABLE = About(
        (_U,), "The node did not list payments of before our start: `paystatus` lacks them.", "error"
    )
    ANSWER_NOT_WRITTEN = About(
        (_B,),
        "An answer or a word to a caller could not be written to lightningd.",
        "id",
        "If lightningd runs on: report it. The payment goes on, and `paystatus` and `listpays` tell of it.",
    )

    # --- payments ---
    PAYMENT_START = About(
        (_I,),
        "A payment begins, or parts that were found are watched (`watched=True`).",
        f"{_PAYMENT} amount_msat shadow_msat destination maxfee_msat maxdelay watched",
    )
    PAYMENT_PAID = About(
        (_I,), "The preimage has come: the payment is made.", f"{_PAYMENT} amount_msat sent_msat parts seconds"
    )
    PAYMENT_FAILED = About(
        (_I,), "The payment has failed, and nothing of it is out.", f"{_PAYMENT} code attempts message"
    )
    PAYMENT_ELSEWHERE = About(
        (_I,), "Another sender of this node has the payment_hash: what that comes to counts.", f"{_PAYMENT} reason"
    )
    PAYMENT_PAID_AFTER_ERROR = About(
        (_U,),
        "A payment was answered with an error, and has been paid after all.",
        _PAYMENT,
        "Book it as paid: `listpays` shows it. `pay` of the invoice says so too.",
    )
    OUTCOME_LOST = About(
        (_U,),
        "The node's row of a part was deleted before its outcome was heard of.",
        f"{_PAYMENT} partid",
        "Do not pay the invoice in another way before the recipient has said whether it was paid. Let `autoclean` "
        "and `delpay` leave payments of the last days alone.",
    )
    ORPHANED_PARTS = About(
        (_I,),
        "Parts are pending in the node's table for ever: no HTLC belongs to them.",
        f"{_PAYMENT} partids",
        "Ask for another invoice: the node refuses this payment_hash from now on.",
    )
    ORPHANS_UNKNOWN = About(
        (_U,),
        "The node did not tell its HTLCs, so such parts cannot be told from others.",
        "payment_hash error",
        "Nothing, if it stays alone; else see what is wrong with `listpeerchannels`.",
    )
    SESSION_CRASHED = About(
        (_B,), "A payment met a bug: nothing is added to it, and what is out is watched.", _PAYMENT, _BUG
    )
    SHADOW_FAILED = About(
        (_B,), "A bug kept a payment from its shadow route: it is paid without.", "payment_hash", _BUG
    )
    SHADOW_WITHOUT_FEE = About((_D,), "Our channels were not listed in time: a shadow route adds no fee.", "error")
    NOT_FORESEEN = About(
        (_D, _B), "The first plan could not be made before the payment began: it is made then.", "[error]"
    )
    EVENT = About((_D,), "What a payment was told.", f"{_PAYMENT} … state")
    ACTION = About((_D,), "What a payment does about it.", f"{_PAYMENT} …")

    # --- parts ---
    SENDPAY = About((_D,), "A part is handed to the node.", f"{_PAYMENT} partid route")
    SENDPAY_REFUSED = About(
        (_D,), "The node refused a part, or failed it at once.", f"{_PAYMENT} partid code reason"
    )
    SENDPAY_UNANSWERED = About(
        (_U,),
        "The node gave no answer to a part: it counts as out, and is asked for again.",
        f"{_PAYMENT} partid error",
        "If it goes on: see what holds up `sendpay` (a hook of another plugin, a disk).",
    )
    HINT_UNTOLD = About(
        (_B,), "Other plugins could not be told what a refusal says of a channel.", "channel", _BUG
    )
    PEER_AWAY = About((_D,), "A peer that is missed did not come back.", f"{_PAYMENT} peer error")
    PEER_BACK = About((_D,), "A peer that is missed is connected again.", f"{_PAYMENT} peer")
    CHANNELS_UNKNOWN = About((_D,), "The node did not list its channels while a peer is missed.", "error")

    # --- after a restart ---
    PAYMENT_RESUMED = About((_I,), "A payment of an earlier run goes on, within its limits.", f"{_PAYMENT} parts")
    PAYMENT_NOT_RESUMED = About(
        (_I,), "Parts of an earlier run are only watched to their end.", "payment_hash reason"
    )
    PAYMENT_WAS_PAID = About((_I,), "A payment of ours was made while the plugin did not run.", _PAYMENT)
    ADOPTION_FAILED = About((_B,), "A payment of an earlier run could not be taken up.", "payment_hash", _BUG)
    JOURNAL_UNREAD = About((_U,), "The datastore did not answer at the start: what is out is watched.", "error")
    JOURNAL_UNREADABLE = About((_U,), "An entry of the datastore is not ours, or of a later version.", "key error")
    JOURNAL_UNWRITTEN = About(
        (_U,),
        "An entry was not written in time: after a restart its payment is only watched.",
        "payment_hash error",
        "If it goes on: see what slows down the node's datastore.",
    )
    JOURNAL_UNREMOVED = About(
        (_D, _U), "An entry could not be removed: the next start sees that it is over.", "payment_hash error"
    )
    TOTAL_UNWRITTEN = About((_U,), "What a payment came to was not written down.", "payment_hash error")
    TOTAL_UNREAD = About(
        (_U,), "What a payment came to could not be read: the node's rows are believed.", "payment_hash error"
    )
    TOTALS_UNREAD = About((_U,), "Old totals could not be cleared away.", "error")
    EARLIER_UNWRITTEN = About(
        (_U,),
        "The next run would not know of a part that may still be queued in the node.",
        "payment_hash error",
        "Do not restart the plugin again within a minute.",
    )
    EARLIER_UNREAD = About(
        (_U,), "It is not known of which payments parts may be queued: errors wait for a minute.", "error"
    )

    # --- the planner, gossip and beliefs ---
    GOSSIP_LOADED = About((_I,), "The gossip_store was read to its end.", "channels nodes seconds")
    GOSSIP_READ = About((_D,), "News were read.", "records channels_added channels_removed policies")
    GOSSIP_UNREADABLE = About(
        (_U,),
        "The gossip_store cannot be read on; plans use what was read before.",
        "path error channels",
        "Restart the node, which repairs it; if it stays so, report it.",
    )
    GOSSIP_MISSING = About(
        (_U,),
        "There is no gossip_store, or it may not be opened.",
        "path error channels",
        "See that the plugin runs on the machine and as the user of lightningd.",
    )
    PLAN_BROKEN = About((_B,), "The planner met a bug: planned again without beliefs and randomness.", do=_BUG)
    PLAN_FAILED = About((_B,), "There too: the payment ends as soon as nothing is out.", _PAYMENT, _BUG)
    LEARNT = About((_D,), "What parts came to was taken in.", "observations channels")
    LEARNING_FAILED = About((_B,), "What parts came to could not be taken in; said once.", do=_BUG)
    OTHERS_PART_ENDED = About(
        (_D,),
        "Another plugin of the node tells how a part of its own ended; `taught` says whether that says anything.",
        f"{_PAYMENT} partid by settled taught",
    )
    OTHERS_PART_UNREADABLE = About(
        (_D,), "What another plugin tells of a part of its own cannot be read.", "by topic error"
    )
    KNOWLEDGE_FAILED = About(
        (_B,), "What is believed could not be read: plans are made without; said once.", do=_BUG
    )
    LIQUIDITY_RESTORED = About((_I,), "What an earlier run believed of balances was taken in.", "channels")
    LIQUIDITY_UNREAD = About((_U, _B), "It could not be read yet: payments begin without.", "[error]")
    LIQUIDITY_UNREADABLE = About((_U,), "Some of it cannot be read and is ignored.", "pieces first")
    LIQUIDITY_UNWRITTEN = About(
        (_U,),
        "It could not be written down; tried again, said once.",
        "error",
        "If it goes on: see what is wrong with the node's datastore.",
    )
    LIQUIDITY_KEPT_AGAIN = About((_I,), "It is written down again.", "pieces")

    # --- the node ---
    HOST_UNANSWERED = About(
        (_U,),
        "The node's socket gave no answer: asked again until it does.",
        "method error",
        "If it goes on: see whether lightningd is busy or ends.",
    )
    HOST_TROUBLE = About(
        (_U,),
        "An answer that payments depend on is an error or cannot be read: they wait.",
        "method error",
        "See what the node's log has of that command.",
    )
    HOST_MESSAGE_UNREADABLE = About(
        (_U,), "A message of lightningd, or what a caller wrote in it, cannot be read.", "error [bytes] [message]"
    )
    RPC_MALFORMED = About((_U,), "An answer on the socket is not JSON.", "error")
    HEADERS_UNKNOWN = About(
        (_D,), "bitcoind did not say how many blocks there are: the node's height is believed.", "error"
    )

    # --- the plugin ---
    STARTED = About((_I,), "The plugin is ready to pay.", "version clnpay id network listpays")
    ENTRY_CHOSEN = About(
        (_I,),
        "`pay` is a method of this plugin (`own`), or hooked (`hook`), or another of us is there (`absent`).",
        "entry why",
    )
    OPTION_SET = About((_I,), "`setconfig` has changed an option.", "name value")
    OPTION_REFUSED = About(
        (_U,),
        "The configuration has an invalid value; another one is used.",
        "name used reason",
        "Correct the value.",
    )
    OPTION_SHOWN_WRONGLY = About((_U,), "`listconfigs` shows that value, and not the one in use.", "name error")
    OPTION_OUTLASTS_PLUGIN = About(
        (_U,),
        "The configuration has an option of ours, and does not start the plugin.",
        "name written",
        "Do what the line says before the node is restarted: it would not start.",
    )
    OPTIONS_UNKNOWN = About((_D,), "The configuration could not be looked at for that.", "error")
    XPAY_KEPT_OFF = About(
        (_I,), "cln-xpay was told to leave `pay` to this plugin, until the node stops.", "option value"
    )
    XPAY_GIVEN_BACK = About(
        (_I,), "This plugin is stopped, the node is not: cln-xpay has its option back.", "option"
    )
    XPAY_ANSWERS_PAY = About(
        (_I, _U),
        "cln-xpay answers `pay`, not this plugin.",
        "option [reason] [remedy] [error]",
        "At `unusual`: do as `remedy` says, or see `error`.",
    )
    NAME_MENDED = About(
        (_U,),
        "Nobody had this command, so none of its calls reached us: another plugin was started that has the name.",
        "command started",
        "Add disable-plugin=pay to the configuration, or take it out: then the plugin sees whose the name is.",
    )
    NAME_UNSERVED = About(
        (_U,),
        "The node refuses this command, as it knows none, and that could not be mended.",
        "command error",
        "Call it with `clnpay-` in front, or see `error`.",
    )
    NAMES_UNKNOWN = About((_D, _U), "Whether somebody has `pay` could not be seen.", "[error] [waits_for]")
    HOOK_FAILED = About(
        (_B,), "The hook for commands of the host met a bug: the call goes on to the node's own.", do=_BUG
    )
    HANDLER_FAILED = About((_B,), "What was done about a message of lightningd met a bug.", do=_BUG)
    TASK_FAILED = About((_B,), "Work in the background met a bug.", do=_BUG)

    @property
    def about(self) -> About:
        about: About = self.value
        return about

    def __str__(self) -> str:
        return self.name.lower()


class EventLog:
    """Writes lines that begin with an event.

    Parameters
    ----------
    name
        Of the logger, as in `logging`.
    """

    def __init__(self, name: str):
        self._log = logging.getLogger(name)

    def is_enabled(self, level: Level) -> bool:
        """Whether anybody reads lines of that level: the words of others cost more than the line."""
        return self._log.isEnabledFor(level.number)

    def debug(self, event: LogEvent, text: str = "", *args: object) -> None:
        """Write `text` behind the event, with `args` put in by `%`; so do all others here."""
        self._write(logging.DEBUG, event, text, args)

    def info(self, event: LogEvent, text: str = "", *args: object) -> None:
        self._write(logging.INFO, event, text, args)

    def unusual(self, event: LogEvent, text: str = "", *args: object, trace: bool = False) -> None:
        """`trace` adds the exception in hand."""
        self._write(logging.WARNING, event, text, args, trace)

    def broken(self, event: LogEvent, text: str = "", *args: object, trace: bool | BaseException = True) -> None:
        """With the exception in hand, or another one."""
        self._write(logging.ERROR, event, text, args, trace)

    def _write(
        self,
        number: int,
        event: LogEvent,
        text: str,
        args: tuple[object, ...],
        trace: bool | BaseException = False,
    ) -> None:
        if self._log.isEnabledFor(number):
            between = " " if text and text[0] != ":" else ""
            self._log.log(number, f"{event}{between}{text}", *args, exc_info=trace or None)
