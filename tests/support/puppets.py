"""Plugins that do what a test says, under names of its choice: what a chain of hooks is made of.

`Puppet` is the test's end of them; the program is `tests/support/plugins/puppet.py`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_PLUGINS = Path(__file__).resolve().parent / "plugins"
_PROGRAM = f"""#!{sys.executable} -S
import sys
sys.path.insert(0, {str(_PLUGINS)!r})
from puppet import main
main({{path!r}})
"""

Wish = dict[str, Any]

CONTINUE: Wish = {"answer": {"result": {"result": "continue"}}}
NEVER: Wish = {"never": True}


def says(result: Any, **more: Any) -> Wish:
    """An answer with this result."""
    return {"answer": {"result": result}, **more}


def fails(code: int, message: str) -> Wish:
    """An answer that is an error."""
    return {"answer": {"error": {"code": code, "message": message}}}


def returns(**answer: Any) -> Wish:
    """A hook that has the caller answered so: `result` or `error`."""
    return says({"return": answer})


def replace_by(method: str, **more: Any) -> Wish:
    """A hook that has the same request carried out by another method; `members` of the request may be others."""
    return {"replace_by": method, **more}


class Puppet:
    """One plugin.

    Parameters
    ----------
    filters
        Of its `rpc_command` hook; None for no hook at all.
    everything
        A hook without filters.
    before
        Of whom it wants to be asked earlier.
    owns
        Its methods.
    manifest
        Further members of it.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        *,
        filters: Sequence[str] | None = None,
        everything: bool = False,
        before: Sequence[str] = (),
        after: Sequence[str] = (),
        owns: Sequence[str] = (),
        hook: dict[str, Wish] | None = None,
        methods: dict[str, Wish] | None = None,
        init: Wish | None = None,
        **manifest: Any,
    ):
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / name
        self.name = name
        registered = [{"name": method, "usage": "", "description": method} for method in owns]
        hooks = [_hook(filters, before, after)] if everything or filters is not None else []
        self._wishes = {
            "manifest": {"rpcmethods": registered, "hooks": hooks, **manifest},
            "init": init or says({}), "hook": hook or {}, "methods": methods or {},
        }  # fmt: skip
        self._write()
        self.path.write_text(_PROGRAM.format(path=str(self.path)))
        self.path.chmod(0o755)

    def wish(self, *, hook: dict[str, Wish] | None = None, methods: dict[str, Wish] | None = None) -> None:
        """From now on do this."""
        self._wishes["hook"] |= hook or {}
        self._wishes["methods"] |= methods or {}
        self._write()

    def go(self, name: str) -> None:
        """What waits for this may go on."""
        Path(f"{self.path}.{name}").touch()

    def told(self, method: str | None = None) -> list[dict[str, Any]]:
        """The messages that it got, or those of one method."""
        return [message for _, message in self._told() if method in (None, message["method"])]

    def asked(self, method: str | None = None) -> list[dict[str, Any]]:
        """The requests that its hook was asked about."""
        requests = [message["params"]["rpc_command"] for message in self.told("rpc_command")]
        return [request for request in requests if method in (None, request["method"])]

    def asked_at(self) -> int:
        """When its hook was last asked; of use only beside that of others."""
        return max(at for at, message in self._told() if message["method"] == "rpc_command")

    @property
    def started(self) -> dict[str, Any]:
        """How it was last started: env, argv, cwd, pid."""
        found: dict[str, Any] = json.loads(Path(f"{self.path}.started").read_text())
        return found

    @property
    def pid(self) -> int:
        return int(self.started["pid"])

    def _told(self) -> list[tuple[int, dict[str, Any]]]:
        file = Path(f"{self.path}.told")
        return [tuple(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []

    def _write(self) -> None:
        file = Path(f"{self.path}.json")
        new = file.with_suffix(".new")
        new.write_text(json.dumps(self._wishes))
        new.rename(file)


def _hook(filters: Sequence[str] | None, before: Sequence[str], after: Sequence[str]) -> dict[str, Any]:
    hook = {"name": "rpc_command", "before": list(before), "after": list(after)}
    return hook if filters is None else {**hook, "filters": list(filters)}
