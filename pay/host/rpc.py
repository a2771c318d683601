"""Calls to lightningd over one connection, many at a time.

pyln-client's `LightningRpc` opens a socket for every call and blocks until the answer; here the calls are
multiplexed by their id on one connection of an asyncio loop, as lightningd's own plugins do it.

Every method has a lane of its own: of each only so many calls wait for answers, further ones queue. So a slow host
makes us wait, it never makes us grow; and a method that hangs (a preapproval that waits for a person, a hook that
sleeps) keeps no other one waiting. One connection does for all lanes: lightningd goes on reading it however many
of its commands are unanswered (lightningd/jsonrpc.c, read_json: after 100 commands in a row it only gives others
a turn), and stops only while an answer is not taken from it, which the reader here always does.

A call can end without an answer although the host received it, because a command outlives its connection.
`Unanswered` says exactly that, and only the caller knows whether the call may be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from typing import Any, NamedTuple

from pyln.client.lightning import LightningRpc

from pay.log_events import LogEvent

MOST_OF_A_METHOD = 100
"""Calls of one method that wait for answers."""

MOST_APPROVALS = 1_000
"""Of those that a person may have to answer: one who takes his time does not keep others from being asked for."""

_MOST = {"preapproveinvoice": MOST_APPROVALS, "check": MOST_APPROVALS}

ANSWER_TIMEOUT_S = 60.0
"""No command that we use waits for the network; after a minute the answer is taken as lost."""

_READ_BYTES = 1 << 18
_SUN_PATH_MAX = 100


_MARK = f"clnpay-{secrets.token_hex(8)}:"
"""In the ids of our calls, which hooks are shown as they are: not to be guessed, and another one in each run."""


def is_own(ident: Any) -> bool:
    """Whether a call with this id was made by this process."""
    return isinstance(ident, str) and _MARK in ident


class _Waiting(NamedTuple):
    """A call without an answer yet, and the loop's time after which it is given up."""

    future: asyncio.Future[dict[str, Any]]
    due_s: float


class Unanswered(Exception):
    """The call may have been carried out or not, or may be carried out later."""


class CallError(Exception):
    """The host's answer is an error."""

    def __init__(self, method: str, error: Any):
        fields: dict[str, Any] = error if isinstance(error, dict) else {"message": str(error)}
        self.code = int(fields.get("code", -1))
        self.message = str(fields.get("message", "no message"))
        data = fields.get("data")
        self.data: dict[str, Any] = data if isinstance(data, dict) else {}
        super().__init__(f"{method}: {self.message} ({self.code})")


class HostRpc(LightningRpc):  # type: ignore[misc]
    """lightningd's JSON-RPC socket on an asyncio loop.

    Parameters
    ----------
    path
        Of the socket; may be longer than a unix socket's name can be.
    timeout_s
        After this a call is `Unanswered`.
    """

    def __init__(self, path: str, timeout_s: float = ANSWER_TIMEOUT_S):
        super().__init__(path)
        self._path = path
        self._timeout_s = timeout_s
        self._lanes: dict[str, asyncio.Semaphore] = {}
        self._connecting = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[str, _Waiting] = {}
        self._look: asyncio.TimerHandle | None = None
        self._reader_task: asyncio.Task[None] | None = None

    async def acall(
        self,
        method: str,
        params: dict[str, Any] | list[Any],
        prefix: str | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Call `method` and return its result.

        Parameters
        ----------
        timeout_s
            In place of the connection's; the wait for a turn is not in it.

        Raises
        ------
        CallError
            The host answered with an error.
        Unanswered
            There was no answer, for whatever reason.
        """
        async with self._lane(method):
            ident = self.get_json_id(method, prefix)
            self.next_id += 1
            loop = asyncio.get_running_loop()
            future: asyncio.Future[dict[str, Any]] = loop.create_future()
            due_s = loop.time() + (self._timeout_s if timeout_s is None else timeout_s)
            try:
                writer = self._writer
                if writer is None or writer.is_closing():
                    async with asyncio.timeout_at(due_s):
                        writer = await self._connect()
                self._waiting[ident] = _Waiting(future, due_s)
                if self._look is None or due_s < self._look.when():
                    self._look_at(due_s)
                request = {"jsonrpc": "2.0", "id": ident, "method": method, "params": params}
                # Not waited until it has gone: the lanes bound what can be on its way.
                writer.write(json.dumps(request, ensure_ascii=False).encode() + b"\n\n")
                answer = await future
            except (OSError, TimeoutError) as error:
                raise Unanswered(f"{method}: {error or 'no answer in time'}") from error
            finally:
                self._waiting.pop(ident, None)
                if future.done() and not future.cancelled():
                    # Where the writing failed as well, nobody else asks what became of the answer.
                    future.exception()
        if "error" in answer:
            raise CallError(method, answer["error"])
        if "result" not in answer:
            raise Unanswered(f"{method}: an answer with neither result nor error")
        return answer["result"]

    def get_json_id(self, method: str, prefix: str | None) -> str:
        """As the host writes its own, with our mark in front."""
        ident = f"{_MARK}{method}#{self.next_id}"
        return ident if prefix is None else f"{prefix}/{ident}"

    def _look_at(self, due_s: float) -> None:
        """One timer for all calls: nearly all are answered long before, and a timer costs as much as a call."""
        if self._look is not None:
            self._look.cancel()
        self._look = asyncio.get_running_loop().call_at(due_s, self._give_up)

    def _give_up(self) -> None:
        """Those whose time is over; the others later."""
        self._look, now_s = None, asyncio.get_running_loop().time()
        for call in self._waiting.values():
            if call.due_s <= now_s and not call.future.done():
                call.future.set_exception(TimeoutError("no answer in time"))
        left = [call.due_s for call in self._waiting.values() if call.due_s > now_s]
        if left:
            self._look_at(min(left))

    def _lane(self, method: str) -> asyncio.Semaphore:
        lane = self._lanes.get(method)
        if lane is None:
            lane = self._lanes[method] = asyncio.Semaphore(_MOST.get(method, MOST_OF_A_METHOD))
        return lane

    async def _connect(self) -> asyncio.StreamWriter:
        async with self._connecting:
            if self._writer is not None and not self._writer.is_closing():
                return self._writer
            with short_name(self._path) as path:
                reader, self._writer = await asyncio.open_unix_connection(path)
            self._reader_task = asyncio.create_task(self._read(reader, self._writer))
            return self._writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand out answers until the connection ends or says something that is not JSON."""
        reason = "the host closed the connection"
        pending = bytearray()
        scanned = 0
        try:
            while chunk := await reader.read(_READ_BYTES):
                pending += chunk
                while (end := pending.find(b"\n\n", scanned)) >= 0:
                    message = bytes(pending[:end])
                    del pending[: end + 2]
                    scanned = 0
                    self._deliver(message)
                scanned = max(0, len(pending) - 1)
        except OSError as error:
            reason = str(error)
        except ValueError as error:
            reason = f"the host's answer is not JSON: {error}"
            self.logger.warning("%s error=%r", LogEvent.RPC_MALFORMED, str(error))
        finally:
            writer.close()
            if self._writer is writer:
                self._writer = None
                for call in self._waiting.values():
                    if not call.future.done():
                        call.future.set_exception(ConnectionError(reason))

    def _deliver(self, message: bytes) -> None:
        if not message.strip():
            return
        answer = json.loads(message)
        if not isinstance(answer, dict):
            raise ValueError("not an object")
        call = self._waiting.get(str(answer.get("id")))
        if call is not None and not call.future.done():
            call.future.set_result(answer)


@contextlib.contextmanager
def short_name(path: str) -> Iterator[str]:
    """A name of the socket that fits into sockaddr_un, through its open directory where it must."""
    if len(os.fsencode(path)) <= _SUN_PATH_MAX:
        yield path
        return
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{os.path.basename(path)}"
    finally:
        os.close(directory)
