"""Holds answers of our commands against their schemas, with the types of Core Lightning's own schemas.

What those types allow is taken from `pyln.testing.utils` of the host (`_extra_validator`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any

from jsonschema import Draft7Validator, TypeChecker
from jsonschema.validators import extend

from pay.commands.form.command import Command
from pay.commands.pages.schema import error_schema, request_schema, shape_schema
from pay.commands.table import COMMANDS
from tests.support.rawrpc import Answer

OURS: Mapping[str, Command[Any]] = {command.name: command for command in COMMANDS}

NOT_OURS = {-4, -32601}
"""The host's own answers for a plugin: it died before it answered, or it is not there."""

Checks = Callable[[Any, Any], bool]


def _whole(most: int) -> Checks:
    return lambda _, value: type(value) is int and 0 <= value < most


def _text(pattern: str) -> Checks:
    compiled = re.compile(pattern)
    return lambda _, value: isinstance(value, str) and compiled.fullmatch(value) is not None


TYPES: Mapping[str, Checks] = {
    "u32": _whole(1 << 32), "u64": _whole(1 << 64), "msat": _whole(1 << 64),
    "hash": _text("[0-9a-f]{64}"), "secret": _text("[0-9a-f]{64}"), "hex": _text("([0-9a-f]{2})*"),
    "pubkey": _text("0[23][0-9a-f]{64}"), "short_channel_id": _text(r"\d+x\d+x\d+"),
    "short_channel_id_dir": _text(r"\d+x\d+x\d+/[01]"),
    # JSON has true for 1 and 1.0 for 1; no reader of an integer wants these.
    "integer": lambda _, value: type(value) is int,
}  # fmt: skip

_AS_TEXT = {
    "u32": _text(r"\d+"), "u64": _text(r"\d+"), "number": _text(r"[0-9.eE+-]+"),
    "msat": _text(r"[0-9.]+(msat|sat|btc)?"),
    "string": lambda _, value: type(value) in (int, float), "hash": _text("[0-9a-fA-F]{64}"),
    "hex": _text("([0-9a-fA-F]{2})*"), "boolean": _text("true|false"),
}  # fmt: skip
"""What callers may write as well."""


@cache
def _validators() -> tuple[type[Draft7Validator], type[Draft7Validator]]:
    checker = Draft7Validator.TYPE_CHECKER.redefine_many(TYPES)
    both = {name: partial(_either, checker, name, also) for name, also in _AS_TEXT.items()}
    answers = extend(Draft7Validator, type_checker=checker)
    return answers, extend(Draft7Validator, type_checker=checker.redefine_many(both))


def _either(strict: TypeChecker, name: str, also: Checks, checker: Any, value: Any) -> bool:
    return strict.is_type(value, name) or also(checker, value)


def problems(schema: Any, value: Any, request: bool = False) -> list[str]:
    """What is wrong with a value; nothing if it is as the schema says."""
    validator = _validators()[request](schema)
    return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(value)]


@cache
def answer_schema(name: str) -> Any:
    """Of the result of one of our commands."""
    return shape_schema(OURS[name].answers)


@cache
def error_schemas(name: str) -> Mapping[int, Any]:
    """Of its errors, by their codes."""
    return {int(failing.code): error_schema(failing) for failing in OURS[name].errors}


def check_answer(method: str, params: Any, answer: Answer) -> None:
    """An answer of one of our commands has what its schema says, and nothing else; so has a call that it took."""
    method = method.removeprefix("clnpay-")
    if method not in OURS or answer.code in NOT_OURS:
        return
    if answer.error is None:
        wrong = problems(answer_schema(method), answer.result)
    else:
        schemas = error_schemas(method)
        assert answer.error["code"] in schemas, f"{method} has no error {answer.error}"
        wrong = problems(schemas[answer.error["code"]], answer.error)
    assert not wrong, f"{method} {wrong}: {answer}"
    if answer.error is None or answer.error["code"] != -32602:
        called = _by_name(OURS[method], params)
        wrong = problems(request_schema(OURS[method].parameters), called, request=True)
        assert not wrong, f"{method} {params} was taken: {wrong}"


def _by_name(command: Command[Any], params: Any) -> dict[str, Any]:
    """The parameters that were given, none for developers."""
    named = [parameter for parameter in command.parameters if not parameter.developer]
    others = {parameter.other_name: parameter.name for parameter in named if parameter.other_name is not None}
    if isinstance(params, list):
        called = dict(zip([parameter.name for parameter in named], params, strict=False))
    else:
        called = {others.get(key, key): value for key, value in (params or {}).items()}
    hidden = {parameter.name for parameter in command.parameters if parameter.developer}
    return {key: value for key, value in called.items() if value is not None and key not in hidden}


def fields_of(schema: Any, path: str = "") -> Iterator[str]:
    """Every field that a schema declares, by its path."""
    for part in ("oneOf", "allOf"):
        for each in schema.get(part, ()):
            yield from fields_of(each.get("then", each), path)
    for name, inner in schema.get("properties", {}).items():
        if inner:
            yield f"{path}.{name}"
            yield from fields_of(inner, f"{path}.{name}")
    if "items" in schema:
        yield from fields_of(schema["items"], f"{path}[]")


def fields_in(value: Any, path: str = "") -> Iterator[str]:
    """Every field that a value has, by its path."""
    match value:
        case dict():
            for name, inner in value.items():
                yield f"{path}.{name}"
                yield from fields_in(inner, f"{path}.{name}")
        case list():
            for inner in value:
                yield from fields_in(inner, f"{path}[]")
