"""What the host is: its version, and what it does differently from others in the range that we serve.

v24.11 to v26.06. The version is in the environment when getmanifest is asked, the rest is asked after init.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OLDEST = (24, 11)
INVSTRING_SINCE = (26, 6)
"""`pay invstring` in the usage string; older hosts say `pay bolt11`."""
XPAY_OWNS_LISTPAYS_SINCE = (26, 6)
"""Before, the host's own `pay` plugin had it, and it went with it."""
XPAY_OWNS_PAY_SINCE = (27, 3)
"""Announced: cln-xpay registers `pay`, and disabling the builtin does not free the name."""
PAY_DEPRECATED_SINCE = (26, 6)
"""Where deprecated APIs are off the builtin refuses `pay`, and lightningd `paystatus`, before it asks any hook."""
HOOK_FILTERS_SINCE = (25, 12)
"""Before, a hook on `rpc_command` sees every command, which is not worth it."""
TRANSIENT_SINCE = (25, 2)
"""`setconfig … transient`; before, setconfig always writes the operator's configuration."""
SETCONFIG_FILE_SINCE = (25, 2)
"""It writes `config.setconfig`, which the configuration includes; before, the `config` of the network itself."""
PLUGIN_STARTED_SINCE = (25, 2)
"""The notification of that name; an older host tells its operator that there is none, as something unusual."""
NOTIFICATIONS_NAMED_SINCE = (25, 9)
"""Notifications of plugins are forwarded as sent, their fields under the topic's name; before, the host puts what
was sent under `payload`."""
XPAY_TAKES_PAY_SINCE = (26, 6)
"""`xpay-handle-pay` is on where nobody sets it."""
XPAY_MAXDELAY_SINCE = (25, 2)
XPAY_PAYER_NOTE_SINCE = (26, 4)
XPAY_LABEL_SINCE = (26, 6)
"""Parameters that cln-xpay's `xpay` has gained at its end: `maxdelay`, `payer_note`, `label` with `localinvreqid`.
An older one refuses them by name, as it does one position too many."""
XPAY_ALREADY_PAID_IS_219_SINCE = (26, 6)
"""What `xpay` answers for an invoice that was paid before; 218 until then, whose name and number have moved."""
XPAY_TOO_DEAR_IS_206_SINCE = (26, 6)
"""What `xpay` answers where routes cost more than `maxfee` or lock longer than `maxdelay`; 205 until then."""

_VERSION = re.compile(r"v?(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Release of the host; `v26.06.6-12-gabc` is (26, 6). A version that cannot be read counts as newest."""

    year: int
    month: int

    @classmethod
    def parse(cls, text: str | None) -> Version:
        match = _VERSION.match(text or "")
        return cls(int(match[1]), int(match[2])) if match else cls(99, 12)

    def since(self, release: tuple[int, int]) -> bool:
        return (self.year, self.month) >= release

    def __str__(self) -> str:
        return f"v{self.year}.{self.month:02d}"


NEWEST = Version.parse(None)
"""A host that has all there is."""


@dataclass(frozen=True, slots=True)
class HostInfo:
    """What init and the first calls told.

    Parameters
    ----------
    us
        Our node id, 33 bytes.
    network
        `bitcoin`, `regtest`, … as the host names it.
    owns_listpays
        Another plugin of the host answers `listpays`.
    """

    us: bytes
    network: str
    owns_listpays: bool
