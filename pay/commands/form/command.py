"""A command as a value, and what commands work with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pay.commands.form.failing import Failing
from pay.commands.form.parameters import Parameter, usage
from pay.commands.form.shapes import Object, OneOf
from pay.host.version import Version
from pay.log_events import LogEvent

if TYPE_CHECKING:
    from pay.engine.live.in_work import InWork
    from pay.engine.live.register import Register
    from pay.engine.live.running import Tell
    from pay.engine.open_calls import OpenCalls
    from pay.engine.paying import Paying
    from pay.host.calls import Host
    from pay.router.liquidity_store import LiquidityStore
    from pay.router.planning import Planning

R = TypeVar("R")


@dataclass(slots=True)
class Context:
    """What commands work with.

    Parameters
    ----------
    calls
        Of `pay`, those that have no answer yet.
    paying
        Takes calls of `pay`, once the host has said who it is and what an earlier run left is found.
    began_s
        Unix time of our start.
    height
        Of the chain, as far as it was heard of.
    version
        Of the host.
    """

    host: Host
    planning: Planning
    register: Register
    calls: OpenCalls
    liquidity: LiquidityStore
    paying: asyncio.Future[Paying]
    began_s: float
    version: Version
    height: int = 0

    async def started(self) -> Paying:
        """Wait until calls can be served."""
        return await asyncio.shield(self.paying)


@dataclass(frozen=True, slots=True)
class Words:
    """What a command's page says beside its parameters, fields and errors.

    Parameters
    ----------
    title
        One line, in the host's manner.
    about
        Paragraphs in front of the parameters; `*emphasis*` and `**bold**` as in Markdown.
    notes
        Paragraphs behind the fields of the answer.
    see_also
        Names of our commands, and pages of the host like lightning-decode(7).
    """

    title: str
    about: tuple[str, ...]
    notes: tuple[str, ...] = ()
    see_also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shared:
    """Which calls of a command that another plugin of the host has as well are for us.

    Asked on the thread that reads what the host says, in front of every call: they look at no more than `params`
    and names.

    Parameters
    ----------
    fits
        Whether a call with these `params` is one that we could answer at all; with the host's version, and whether
        it runs with --developer.
    at_work
        Whether it is about something that we are at: then the host's own answer would be wrong.
    always
        It is for us wherever it fits; else only where it is about what we are at.
    """

    fits: Callable[[Any, Version, bool], bool]
    at_work: Callable[[Any, InWork], bool]
    always: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[R]):
    """All of one command.

    Parameters
    ----------
    summary
        One sentence, which lightningd shows.
    read
        From the `params` of a call, with the host's version and whether it runs with --developer, to what is
        meant. Raises PayError.
    answer
        The result of a call; of a `long` one iterators stand in the place of arrays. Raises PayError.
    check
        Raises what a call would be refused for; None where `read` says all of it.
    shared
        Where the host has a command of this name: which calls of it we take.
    bug
        Of the log, where an answer ends in an exception.
    hosts_page
        The host has a manual page of this name.
    """

    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    answers: Object | OneOf
    errors: tuple[Failing, ...]
    words: Words
    read: Callable[[Any, Version, bool], R]
    answer: Callable[[R, Context, Tell], Awaitable[dict[str, Any]]]
    bug: LogEvent
    check: Callable[[R, Context], Awaitable[None]] | None = None
    shared: Shared | None = None
    long: bool = False
    hosts_page: bool = False

    @property
    def man_page(self) -> str:
        """What its manual page is called: `lightning-cli help COMMAND` shows `man lightning-COMMAND`.

        Where the node has a page of that name it stays the one that is found, and ours has the product's name.
        """
        return f"{'clnpay' if self.hosts_page else 'lightning'}-{self.name}"

    def usage(self, version: Version, developer: bool) -> str:
        """As the manifest has it."""
        return usage(self.parameters, version, developer)
