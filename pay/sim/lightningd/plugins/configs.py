"""The node's options and those of its plugins: values, where they come from, how they are shown and set.

Source: lightningd's configs.c and the option part of plugin.c. Values are kept as text, as on a command line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pay.sim.lightningd.payments.database import Database
from pay.sim.lightningd.rpc.params import text_of
from pay.sim.lightningd.settings import Settings

_MEMBER = {"string": "str", "string-conceal": "str", "int": "int", "bool": "bool", "msat": "msat"}
_NAME = re.compile(r"[0-9a-z_-]+", re.ASCII)


class OptionError(Exception):
    """An option that cannot be registered or set; says why."""


@dataclass(slots=True)
class Option:
    """One option. `kind` is string, string-conceal, int, bool, msat, or flag (which takes no value)."""

    name: str
    kind: str
    default: str | None = None
    description: str = ""
    multi: bool = False
    dynamic: bool = False
    plugin: str | None = None
    """Path of the plugin that owns it."""
    values: list[tuple[str, str]] = field(default_factory=list)
    """(value, source) as set; a later one counts, where only one can."""

    def check(self, text: str) -> None:
        """Raises OptionError if `text` is no value for it."""
        if self.kind == "int" and re.fullmatch(r"-?[0-9]+", text) is None:
            raise OptionError(f"'{text}' is not a number")
        if self.kind == "bool" and text not in ("true", "false"):
            raise OptionError(f'\'{text}\' is not a bool, must be \\"true\\" or \\"false\\"')

    def typed(self, text: str) -> Any:
        """The value in JSON's type."""
        if self.kind == "bool":
            return text == "true"
        number = self.kind in ("int", "msat") and re.fullmatch(r"-?[0-9]+", text) is not None
        return int(text) if number else text

    @property
    def value(self) -> Any:
        """What counts now: None where nothing was set and there is no default; a flag is a bool."""
        if self.kind == "flag":
            return bool(self.values)
        if self.multi:
            return [self.typed(text) for text, _ in self.values]
        text = self.values[-1][0] if self.values else self.default
        return None if text is None else self.typed(text)

    def told(self) -> Any:
        """What `init` tells the plugin that owns it: nothing for what is neither set nor has a default."""
        if self.kind == "flag":
            return True if self.values else None
        if self.multi and not self.values:
            return None if self.default is None else [self.typed(self.default)]
        return self.value

    def to_json(self) -> dict[str, Any] | None:
        """Its entry in `listconfigs`; None if there is nothing to show."""
        shown: dict[str, Any] = {}
        if self.kind == "flag":
            shown["set"] = bool(self.values)
            shown["source"] = self.values[-1][1] if self.values else "default"
        elif self.multi:
            shown[f"values_{_MEMBER[self.kind]}"] = self.value
            shown["sources"] = [source for _, source in self.values]
        else:
            if self.value is None:
                return None
            value = "..." if self.kind == "string-conceal" else self.value
            shown[f"value_{_MEMBER[self.kind]}"] = value
            shown["source"] = self.values[-1][1] if self.values else "default"
        if self.plugin is not None:
            shown["plugin"] = self.plugin
        if self.dynamic:
            shown["dynamic"] = True
        return shown


class Configs:
    """All options by name, and the values given for options that a plugin has yet to declare."""

    def __init__(self) -> None:
        self.options: dict[str, Option] = {}
        self._waiting: dict[str, list[tuple[str, str]]] = {}

    def declare(self, option: Option) -> None:
        """Add an option; takes the values that were waiting for it. Raises OptionError."""
        if _NAME.fullmatch(option.name) is None:
            raise OptionError('Option "name" must be lowercase alphanumeric, plus _ or -\'')
        if option.name in self.options:
            raise OptionError(f'Option "{option.name}" already registered')
        if option.default is not None and option.kind != "flag":
            try:
                option.check(option.default)
            except OptionError as error:
                raise OptionError(f"Invalid default '{option.default}': {error}") from None
        for text, source in self._waiting.pop(option.name, []):
            if option.kind == "flag" and text == "false":
                continue
            option.check(text)
            option.values.append((text, source))
        self.options[option.name] = option

    def give(self, name: str, value: Any, source: str) -> None:
        """A value from the command line or the configuration, before or after the option is declared."""
        texts = [text_of(item) for item in value] if isinstance(value, list) else [text_of(value)]
        if value is False and name in self.options and self.options[name].kind == "flag":
            return
        for text in texts:
            if name in self.options:
                self.options[name].check(text)
                self.options[name].values.append((text, source))
            else:
                self._waiting.setdefault(name, []).append((text, source))

    def unclaimed(self) -> list[str]:
        """Options that were given but that nobody declared, as written: lightningd does not start then."""
        lines = {name: values[0][0] for name, values in sorted(self._waiting.items())}
        return [f"--{name}={text}" for name, text in lines.items()]

    def withdraw(self, plugin: str) -> None:
        """A plugin is gone and its options with it; values from a command line wait for its return."""
        for name, option in list(self.options.items()):
            if option.plugin == plugin:
                del self.options[name]
                kept = [(text, source) for text, source in option.values if source != "pluginstart"]
                if kept:
                    self._waiting[name] = kept


def option_of_manifest(declared: dict[str, Any], plugin: str) -> Option:
    """An entry of a manifest's `options`. Raises OptionError in lightningd's words."""
    if not {"name", "type", "description"} <= declared.keys():
        raise OptionError('An option is missing either "name", "description" or "type"')
    kind, default, name = declared["type"], declared.get("default"), declared["name"]
    if kind not in ("string", "string-conceal", "int", "bool", "flag"):
        raise OptionError('Only "string", "int", "bool", and "flag" options are supported')
    multi = bool(declared.get("multi", False))
    if kind == "flag":
        if default is not None and text_of(default) != "false":
            raise OptionError(f"--{name} type flag default must be 'false' not {text_of(default)}")
        default = None
    if multi and kind in ("flag", "bool"):
        raise OptionError(f"{kind} type cannot be multi")
    return Option(
        name, kind, None if default is None else text_of(default), declared["description"],
        multi, bool(declared.get("dynamic", False)), plugin,
    )  # fmt: skip


def builtin_options(settings: dict[str, Any]) -> list[Option]:
    """The options of lightningd itself that a plugin or a person may look at.

    Parameters
    ----------
    settings
        alias, color, lightning-dir, network of this node.
    """
    flags = ("developer", "testnet", "testnet4", "signet", "mainnet", "regtest", "clear-plugins", "offline",
             "experimental-dual-fund", "experimental-splicing", "disable-dns")  # fmt: skip
    multis = ("plugin", "plugin-dir", "disable-plugin", "important-plugin", "addr", "bind-addr", "log-file")
    plain = {
        "lightning-dir": settings["lightning-dir"], "network": settings["network"], "rpc-file": "lightning-rpc",
        "rgb": settings["color"], "alias": settings["alias"], "log-level": "debug", "rpc-file-mode": "0600",
    }  # fmt: skip
    numbers = {
        "cltv-delta": 6, "cltv-final": 10, "fee-base": 1, "fee-per-satoshi": 10, "max-concurrent-htlcs": 483,
        "rescan": 30, "commit-time": 10, "funding-confirms": 1, "watchtime-blocks": 6,
    }  # fmt: skip
    bools = {"allow-deprecated-apis": False, "always-use-proxy": False, "log-timestamps": True}
    return [
        *(Option(name, "flag") for name in flags),
        *(Option(name, "string", multi=True) for name in multis),
        *(Option(name, "string", value) for name, value in plain.items()),
        *(Option(name, "int", str(value)) for name, value in numbers.items()),
        *(Option(name, "bool", text_of(value)) for name, value in bools.items()),
        Option("htlc-minimum-msat", "msat", "0"),
        Option("min-capacity-sat", "int", "10000", dynamic=True),
    ]


def configured(settings: Settings, shown: Mapping[str, str], given: Mapping[str, Any], db: Database) -> Configs:
    """The options of lightningd itself, and what the command line and earlier calls of `setconfig` say.

    Parameters
    ----------
    shown
        alias and color of this node.
    """
    configs = Configs()
    place = {"lightning-dir": str(settings.directory.parent), "network": settings.network}
    for option in builtin_options({**shown, **place}):
        configs.declare(option)
    if settings.developer:
        configs.give("developer", True, "cmdline")
    for name, value in given.items():
        configs.give(name, value, "cmdline")
    for row in db.query("SELECT name, value FROM setconfig"):
        configs.give(row["name"], json.loads(row["value"]), settings.setconfig_source)
    return configs
