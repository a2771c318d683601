"""By which invoices and payment_hashes one may ask for what is in work: calls without an answer, live payments.

It is changed on the driver's loop and looked at on the thread that reads what the host says, which must know
without asking anybody whether a call is about something that this plugin is at.
"""

from __future__ import annotations


class InWork:
    """Counts of names; each call of `enter` has one of `leave`.

    Attributes
    ----------
    unread
        Calls whose invoice is not read yet: of those no payment_hash is known.
    """

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        self.unread = 0

    def __contains__(self, name: str) -> bool:
        return name in self._times

    def __bool__(self) -> bool:
        return bool(self._times)

    def enter(self, *names: str) -> None:
        """One more payment or call has these."""
        for name in names:
            self._times[name] = self._times.get(name, 0) + 1

    def leave(self, *names: str) -> None:
        """One less."""
        for name in names:
            left = self._times[name] - 1
            if left:
                self._times[name] = left
            else:
                del self._times[name]
