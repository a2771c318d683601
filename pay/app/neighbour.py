"""cln-xpay beside us: kept from answering `pay` in our place, and given back what was taken from it.

With its `xpay-handle-pay`, which is on by default since v26.06, cln-xpay hooks `pay`, whoever has registered it.
Two hooks that lead one call elsewhere cost the node more than the second one's answer (lightningd/jsonrpc.c,
rpc_command_hook_callback: it counts the second as never done, and from then on no hook's order is heeded). So it
is switched off while we run, until the node stops at the latest (`transient`), unless the operator wants it
otherwise (`pay-allow-xpay`).

Nobody else switches it on again: it even outlasts a restart of cln-xpay. So we do, when we are stopped and the
node goes on. That it was us who switched it off stands in the host's datastore, so that one who comes after a
`kill -9` knows it too. Another run of lightningd has its options anew: what is written says which run it is of.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pay.app.options import ALLOW_XPAY
from pay.host.quick_call import ask
from pay.host.rpc import CallError, Unanswered
from pay.host.version import TRANSIENT_SINCE, Version
from pay.log_events import EventLog, LogEvent

if TYPE_CHECKING:
    from pay.host.calls import Host

log = EventLog("pay")

OPTION = "xpay-handle-pay"
KEY = ("pay", "xpay-handle-pay-was-on")

_TRANSIENT = "setconfig transient"
"""Where lightningd says such a value comes from."""

_CALL_S = 5.0
"""A datastore slower than this is not waited for: calls of `pay` do."""
_AT_ONCE_S = 0.1
"""For each call of those that block. A node answers them at once, or is one that stops as well and takes none."""


@dataclass(frozen=True, slots=True)
class _Found:
    """The option as it is now."""

    on: bool
    transient: bool


def switched_off_first(rpc_path: str, version: Version, run: str) -> bool:
    """Switch it off before the first call can reach our hook; blocks for a moment. Whether that was done.

    What cannot be done at once is done, or said, by the first `look`.
    """
    if not version.since(TRANSIENT_SINCE):
        return False
    try:
        if not _found(ask(rpc_path, "listconfigs", {"config": OPTION}, _AT_ONCE_S)["configs"]).on:
            return False
        ask(rpc_path, "datastore", _remembering(run), _AT_ONCE_S)
        ask(rpc_path, "setconfig", {"config": OPTION, "val": False, "transient": True}, _AT_ONCE_S)
    except (CallError, Unanswered, LookupError, TypeError, AttributeError):
        return False
    _say_kept_off()
    return True


def give_back(rpc_path: str) -> None:
    """Switch it on again, unless somebody else has set it meanwhile; blocks for a moment."""
    try:
        found = ask(rpc_path, "listconfigs", {"config": OPTION}, _AT_ONCE_S)["configs"]
        if _found(found) == _Found(on=False, transient=True):
            ask(rpc_path, "setconfig", {"config": OPTION, "val": True, "transient": True}, _AT_ONCE_S)
            log.info(LogEvent.XPAY_GIVEN_BACK, "option=%s", OPTION)
        ask(rpc_path, "deldatastore", {"key": list(KEY)}, _AT_ONCE_S)
    except (CallError, Unanswered, LookupError, TypeError, AttributeError):
        return  # the node stops as well, and has its own value when it comes again


class Neighbour:
    """What is done about cln-xpay.

    Parameters
    ----------
    rpc_path
        Of the host's socket, for the end.
    run
        Which run of lightningd this is.
    allowed
        The operator wants cln-xpay to answer `pay` where its option says so.
    switched
        It was switched off already.
    """

    def __init__(
        self, host: Host, rpc_path: str, version: Version, run: str, allowed: bool, switched: bool = False
    ):
        self._host = host
        self._rpc_path = rpc_path
        self._version = version
        self._run = run
        self._allowed = allowed
        self._switched = switched
        self._said = ""

    async def look(self) -> None:
        """See to it: at our start, and whenever a plugin starts."""
        try:
            found = (await self._host.patient("listconfigs", {"config": OPTION}))["configs"]
            now = _found(found)
        except (CallError, LookupError, TypeError, AttributeError):
            return  # no cln-xpay that has it
        if not self._switched and now.transient and not now.on:
            # An earlier run of ours may not have come to it.
            self._switched = await self._remembered()
        if self._allowed:
            if self._switched and await self._set(True):
                self._switched, now = False, _Found(True, True)
                await self._forget()
            if now.on:
                self._say(f"reason='{ALLOW_XPAY} is set'", wanted=True)
        elif now.on:
            await self._switch_off()

    async def _switch_off(self) -> None:
        if not self._version.since(TRANSIENT_SINCE):
            # setconfig would write it into the operator's file.
            self._say(f"remedy='remove {OPTION} from the configuration'")
            return
        if not self._switched:
            await self._try("datastore", _remembering(self._run))
        if await self._set(False):
            self._switched, self._said = True, ""
            _say_kept_off()

    def give_back(self) -> None:
        """Switch it on again, if it is off because of us; blocks for a moment, on any thread."""
        if self._switched:
            give_back(self._rpc_path)

    async def _remembered(self) -> bool:
        """Whether an earlier run of ours has switched it off, in this run of lightningd."""
        try:
            async with asyncio.timeout(_CALL_S):
                stored = (await self._host.call("listdatastore", {"key": list(KEY)}))["datastore"]
            return bool(self._run) and any(each.get("string") == self._run for each in stored)
        except (CallError, Unanswered, TimeoutError, LookupError, TypeError, AttributeError):
            return False

    async def _forget(self) -> None:
        await self._try("deldatastore", {"key": list(KEY)})

    async def _try(self, method: str, params: dict[str, object]) -> None:
        """What may fail: it costs the knowledge of one who comes after a kill."""
        with contextlib.suppress(CallError, Unanswered, TimeoutError):
            async with asyncio.timeout(_CALL_S):
                await self._host.call(method, params)

    async def _set(self, on: bool) -> bool:
        try:
            await self._host.call("setconfig", {"config": OPTION, "val": on, "transient": True})
        except (CallError, Unanswered) as error:
            self._say(f"error={str(error)!r}")
            return False
        return True

    def _say(self, why: str, wanted: bool = False) -> None:
        """That it answers, once: this is looked at whenever a plugin starts, ourselves included."""
        if why != self._said:
            self._said = why
            write = log.info if wanted else log.unusual
            write(LogEvent.XPAY_ANSWERS_PAY, "option=%s %s", OPTION, why)


def _say_kept_off() -> None:
    log.info(LogEvent.XPAY_KEPT_OFF, "option=%s value=false: `pay` is answered by this plugin", OPTION)


def _remembering(run: str) -> dict[str, object]:
    return {"key": list(KEY), "string": run, "mode": "create-or-replace"}


def _found(configs: dict[str, dict[str, object]]) -> _Found:
    """Raises AttributeError and TypeError where it is none."""
    option = configs.get(OPTION, {})
    return _Found(bool(option.get("value_bool", True)), option.get("source") == _TRANSIENT)
