"""The page of a command as blocks of text, which `markdown` and `roff` write down.

In the texts `*word*` is emphasised and `**word**` is bold, as in Markdown.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pay.commands.form.command import Command
from pay.commands.form.failing import BESIDE, ENDED, REFUSAL, SAID, Failing
from pay.commands.form.parameters import Parameter
from pay.commands.form.shapes import Anything, Array, Field, Object, OneOf, Scalar, Shape


@dataclass(frozen=True, slots=True)
class Heading:
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str


@dataclass(frozen=True, slots=True)
class Item:
    """One of a list, `depth` lists deep, from 0."""

    depth: int
    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Lines as they are."""

    text: str


@dataclass(frozen=True, slots=True)
class SeeAlso:
    """Other pages: names of our commands, and pages of the host."""

    pages: tuple[str, ...]


Block = Heading | Paragraph | Item | Code | SeeAlso

Example = Mapping[str, Any]
"""`title`, `request` (`method` and `params`), and `response` or `error`: what the plugin really answered."""


def page_of(command: Command[Any], examples: Sequence[Example] = ()) -> Iterator[Block]:
    """All of a page but its title."""
    yield Heading("Synopsis")
    yield Paragraph(f"**{command.name}** {_synopsis(command.parameters)}".rstrip())
    yield Heading("Description")
    yield from map(Paragraph, command.words.about)
    yield Heading("Parameters")
    yield from (_parameter(parameter) for parameter in command.parameters if not parameter.developer)
    yield Heading("Return value")
    yield from _answer(command.answers)
    yield from map(Paragraph, command.words.notes)
    yield Heading("Errors")
    yield from _errors(command.errors)
    if examples:
        yield Heading("Examples")
        for example in examples:
            yield Paragraph(f"{example['title']}:")
            yield Code(f"lightning-cli {shell(example['request'])}")
            yield Code(json.dumps(example.get("response", example.get("error")), indent=2, ensure_ascii=False))
    yield Heading("See also")
    yield SeeAlso(command.words.see_also)


def shell(request: Mapping[str, Any]) -> str:
    """A call as it is typed behind `lightning-cli`."""
    given = [
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in request["params"].items()
    ]
    return " ".join([*(["-k"] if given else []), request["method"], *map(shlex.quote, given)])


def kind_of(shape: Shape) -> str:
    """A type in words."""
    match shape:
        case Scalar(kind, ()):
            return kind.value
        case Scalar(kind, words):
            return f"{kind.value}, " + ("one of " if len(words) > 1 else "always ") + ", ".join(map(repr, words))
        case Array(items):
            return f"array of {kind_of(items)}s" if isinstance(items, Scalar | Object) else "array"
        case Object():
            return "object"
        case OneOf(shapes):
            return " or ".join(map(kind_of, shapes))
        case Anything():
            return "any JSON"


def _synopsis(parameters: Sequence[Parameter]) -> str:
    shown = [parameter for parameter in parameters if not parameter.developer]
    return " ".join(f"*{each.name}*" if each.required else f"[*{each.name}*]" for each in shown)


def _parameter(parameter: Parameter) -> Item:
    kind = kind_of(parameter.shape) + ("" if parameter.required else ", optional")
    default = f" Default: {parameter.default_words}." if parameter.default_words else ""
    other = f" *{parameter.other_name}* is another name of it." if parameter.other_name is not None else ""
    return Item(0, f"**{parameter.name}** ({kind}): {parameter.about}{other}{default}")


def _answer(shape: Object | OneOf) -> Iterator[Block]:
    match shape:
        case Object():
            yield Paragraph("On success, an object with:")
            yield from _fields(shape.fields, 0)
        case OneOf(shapes):
            yield Paragraph("On success, one of these objects:")
            for each in shapes:
                yield Item(0, each.when if isinstance(each, Object) else kind_of(each))
                yield from _inner(each, 1)


def _fields(fields: Sequence[Field], depth: int) -> Iterator[Block]:
    for field in fields:
        kind = kind_of(field.shape) + ("" if field.always else ", optional")
        yield Item(depth, f"**{field.name}** ({kind}): {field.about}")
        yield from _inner(field.shape, depth + 1)


def _inner(shape: Shape, depth: int) -> Iterator[Block]:
    """What a value has inside."""
    match shape:
        case Object(fields, cases, others, _):
            yield from _fields(fields, depth)
            for case in cases:
                if case.more:
                    yield Item(depth, f"where **{case.field}** is '{case.value}':")
                    yield from _fields(case.more, depth + 1)
            if others is not None:
                yield Item(depth, f"under each name: {kind_of(others)}")
                yield from _inner(others, depth + 1)
        case Array(items):
            yield from _inner(items, depth)
        case Scalar() | OneOf() | Anything():
            pass


def _errors(errors: Sequence[Failing]) -> Iterator[Block]:
    yield Paragraph("An error has *code* and *message*, and where it is said below *data*:")
    for failing in errors:
        yield Item(0, f"**{int(failing.code)}**: {failing.about}")
        yield from _fields(failing.data, 1)
        if failing.hosts_data:
            yield Item(1, "what the node said, whatever it is")
    if any(failing.begun for failing in errors):
        codes = ", ".join(f"{int(failing.code)}" for failing in errors if failing.begun)
        yield Paragraph(
            f"Where routes were looked for ({codes}), *data* has as well how the payment stood, and what the "
            "network refused last:"
        )
        yield from _fields((*ENDED, *REFUSAL, *SAID), 0)
        yield Paragraph("and the error itself, beside *code* and *message*, as in Core Lightning's own **pay**:")
        yield from _fields(BESIDE, 0)
