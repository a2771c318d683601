"""The one reader of parameters: by position or by name, null is absent, every problem is -32602 in words.

A command lists its `Parameter`s; `given` finds what a call gives under their names, and reads each when it is
asked for. The message of a problem begins with the parameter's name, as the host's own do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pay.commands.form.shapes import Shape
from pay.errors import Code, PayError, invalid_param
from pay.host.version import NEWEST, Version
from pay.units import show

Reader = Callable[[Any], Any]
"""From a JSON value to what is meant. Raises ValueError with words that can follow the parameter's name."""

Release = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of a command.

    Parameters
    ----------
    shape
        What callers may write, for documents; what is taken is what `read` reads.
    about
        For documents.
    default
        What is meant where it is not given; `default_words` says so in documents.
    other_name
        It may be given under this name as well, by name only.
    leads_since
        The release of the host since which the other name leads in the usage.
    since
        The release of the host whose command has it first; None where all have.
    developer
        Only there where the node runs with --developer.
    """

    name: str
    shape: Shape
    read: Reader
    about: str
    default: Any = None
    default_words: str = ""
    required: bool = False
    other_name: str | None = None
    leads_since: Release | None = None
    developer: bool = False
    since: Release | None = None

    def known_to(self, version: Version, developer: bool) -> bool:
        """Whether the command of that host has it."""
        return (developer or not self.developer) and (self.since is None or version.since(self.since))

    def name_in_usage(self, version: Version) -> str:
        """The name that the host's manual of that version says."""
        renamed = self.leads_since is not None and version.since(self.leads_since)
        return self.other_name if renamed and self.other_name is not None else self.name


class Given:
    """The parameters that a call gives, none of them null.

    Parameters
    ----------
    parameters
        Those that the host's command has, by their names.
    defaults
        Of all, those of newer hosts included.
    by_position
        The command of a call that gives values and no names.
    """

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        defaults: Mapping[str, Any],
        values: Mapping[str, Any],
        by_position: str | None = None,
    ):
        self._parameters = parameters
        self._defaults = defaults
        self._by_position = by_position
        self.values = values

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __getitem__(self, name: str) -> Any:
        """What is meant by a parameter: read, or its default. Raises PayError (-32602)."""
        if name not in self.values:
            return self._defaults[name]
        parameter, value = self._parameters[name], self.values[name]
        try:
            if not _is_text(value):
                raise ValueError("has an invalid character")
            return parameter.read(value)
        except ValueError as error:
            raise invalid_param(name, f"{error}{self._meant_by_name(value)}") from error

    def _meant_by_name(self, value: Any) -> str:
        """How a value is to be given that names another parameter, where it was read as one without a name."""
        if self._by_position is None or not isinstance(value, str):
            return ""
        meant, equals, _ = value.partition("=")
        if not equals or all(meant not in (p.name, p.other_name) for p in self._parameters.values()):
            return ""
        needed = [p.name for p in self._parameters.values() if p.required and meant not in (p.name, p.other_name)]
        line = " ".join(f"{name}=..." for name in (*needed, meant))
        return f"; to give {meant} by name: lightning-cli -k {self._by_position} {line}"


def unknown(name: str, _value: Any) -> PayError:
    """-32602: there is no such parameter."""
    return PayError(Code.INVALID_PARAMS, f"unknown parameter: {show(name)}")


def given(
    command: str,
    parameters: Sequence[Parameter],
    params: Any,
    version: Version = NEWEST,
    developer: bool = False,
    stranger: Callable[[str, Any], PayError] = unknown,
) -> Given:
    """Find the parameters of a call in its `params`, a list or an object.

    Parameters
    ----------
    version, developer
        Of the host, and whether it runs with --developer: there are only the parameters that its own command has.
    stranger
        The error for a name that is none of theirs.

    Raises
    ------
    PayError
        -32602 for too many, unknown, doubled and missing ones.
    """
    named = {each.name: each for each in parameters if each.known_to(version, developer)}
    if isinstance(params, list):
        if len(params) > len(named):
            raise _too_many(command, len(params), len(named))
        values = {name: value for name, value in zip(named, params, strict=False) if value is not None}
    elif isinstance(params, dict):
        values = _by_name(named, params, stranger)
    else:
        raise PayError(Code.INVALID_PARAMS, "Expected array or object for params")
    for parameter in named.values():
        if parameter.required and parameter.name not in values:
            raise PayError(Code.INVALID_PARAMS, f"missing required parameter: {parameter.name}")
    defaults = {each.name: each.default for each in parameters}
    return Given(named, defaults, values, command if isinstance(params, list) else None)


def usage(parameters: Sequence[Parameter], version: Version, developer: bool) -> str:
    """The usage string: names in their order, those that may be left out in brackets."""
    shown = [parameter for parameter in parameters if parameter.known_to(version, developer)]
    names = [(parameter.name_in_usage(version), parameter.required) for parameter in shown]
    return " ".join(name if required else f"[{name}]" for name, required in names)


def _by_name(
    named: Mapping[str, Parameter], params: Mapping[str, Any], stranger: Callable[[str, Any], PayError]
) -> dict[str, Any]:
    others = {parameter.other_name: name for name, parameter in named.items() if parameter.other_name is not None}
    values: dict[str, Any] = {}
    for key, value in params.items():
        name = others.get(key, key)
        if name not in named:
            raise stranger(key, value)
        if value is None:
            continue
        if name in values:
            other = named[name].other_name
            raise PayError(Code.INVALID_PARAMS, f"duplicate parameters: {name} and {other} are the same one")
        values[name] = value
    return values


def _too_many(command: str, given: int, most: int) -> PayError:
    """-32602: mostly it is one value that lacks its quotes."""
    return PayError(
        Code.INVALID_PARAMS,
        f"too many parameters: {given} values were given, and `{command}` takes {most} at the most: put one that "
        "has spaces in quotes",
    )


def _is_text(value: Any) -> bool:
    """JSON can escape half a surrogate pair, which no other program could be handed (RFC 8259, 8.2)."""
    if isinstance(value, list):
        # No parameter takes arrays in arrays, however deep they are.
        return all(isinstance(entry, list) or _is_text(entry) for entry in value)
    return not isinstance(value, str) or value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value)
