"""The one table of commands: a new one is a file and a row here. How each reaches us is decided in `pay.app`."""

from __future__ import annotations

from typing import Any

from pay.commands import listpays, pay, payliquidity, paystatus, xpay
from pay.commands.form.command import Command

COMMANDS: tuple[Command[Any], ...] = (
    pay.COMMAND,
    paystatus.COMMAND,
    payliquidity.COMMAND,
    listpays.COMMAND,
    xpay.COMMAND,
)
"""In the order in which the manifest has them."""
