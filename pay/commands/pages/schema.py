"""JSON schemas of commands, in the form of Core Lightning's own (doc/schemas, rpc-schema-draft.json).

Keywords are those of JSON Schema draft 7; types are the host's, like msat and pubkey. The host has no schemas for
errors: ours are apart, without words, which the page has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pay.commands.form.command import Command
from pay.commands.form.failing import BESIDE, ENDED, REFUSAL, SAID, Failing
from pay.commands.form.parameters import Parameter
from pay.commands.form.shapes import (
    INTEGER,
    STRING,
    Anything,
    Array,
    Field,
    Object,
    OneOf,
    Scalar,
    Shape,
    always,
)

JsonObject = dict[str, Any]


def command_schema(
    command: Command[Any], man_pages: Mapping[str, str], examples: Sequence[Mapping[str, Any]] = ()
) -> JsonObject:
    """All of a command.

    Parameters
    ----------
    man_pages
        Names of manual pages, of our commands.
    examples
        Calls with their answers, see `page.Example`.
    """
    answers = shape_schema(command.answers)
    if isinstance(command.answers, Object):
        # There it is taken for granted.
        del answers["type"]
    return {
        "$schema": "../rpc-schema-draft.json",
        "type": "object",
        "rpc": command.name,
        "title": command.words.title,
        "description": list(command.words.about),
        "request": request_schema(command.parameters),
        "response": {**answers, "post_return_value_notes": list(command.words.notes)},
        "errors": [f"{int(failing.code)}: {failing.about}" for failing in command.errors],
        "see_also": [f"{man_pages[page]}(7)" if page in man_pages else page for page in command.words.see_also],
        "examples": [
            {
                "request": {"id": f"example:{command.name}#{number}", **example["request"]},
                "response": example["response"],
            }
            for number, example in enumerate(examples, 1)
            if "response" in example
        ],
    }


def request_schema(parameters: Sequence[Parameter]) -> JsonObject:
    """Of the `params` of a call by name."""
    shown = [parameter for parameter in parameters if not parameter.developer]
    properties: JsonObject = {}
    for parameter in shown:
        fields = {**shape_schema(parameter.shape), "description": [parameter.about]}
        if parameter.other_name is not None:
            fields["description"] = [parameter.about, f"*{parameter.other_name}* is another name of it."]
        if parameter.default_words:
            fields["default"] = parameter.default_words
        properties[parameter.name] = fields
    required = [parameter.name for parameter in shown if parameter.required]
    return {"required": required, "additionalProperties": False, "properties": properties}


def error_schemas(command: Command[Any]) -> JsonObject:
    """Of the member `error` of an answer, by its code."""
    return {f"{int(failing.code)}": error_schema(failing) for failing in command.errors}


def error_schema(failing: Failing) -> JsonObject:
    """Of the member `error` of an answer with this code."""
    data: Shape = Object(failing.data)
    if failing.begun:
        refused = [field for field in (*REFUSAL, *SAID) if field.name not in {own.name for own in failing.data}]
        data = OneOf((data, Object((*failing.data, *refused, *ENDED))))
    if failing.hosts_data:
        data = Anything()
    fields = [
        always("code", INTEGER, failing.about),
        always("message", STRING, "What happened, with amount, limit and next step."),
    ]
    beside = BESIDE if failing.begun else ()
    there = any(field.always for field in failing.data)
    said = Field("data", data, "What programs may want of it.", always=there)
    more = (said,) if failing.begun or failing.data or failing.hosts_data else ()
    schema = shape_schema(Object((*fields, *beside, *more)), described=False)
    schema["properties"]["code"]["enum"] = [int(failing.code)]
    return schema


def shape_schema(shape: Shape, described: bool = True) -> JsonObject:
    """Of a value of this shape; `described` with the words of its fields."""
    match shape:
        case Scalar(kind, words):
            return {"type": kind.value, **({"enum": list(words)} if words else {})}
        case Array(items):
            return {"type": "array", "items": shape_schema(items, described)}
        case OneOf(shapes):
            return {"oneOf": [shape_schema(each, described) for each in shapes]}
        case Anything():
            return {}
        case Object(fields, (), others, _):
            return {
                "type": "object",
                "required": _required(fields),
                "additionalProperties": False if others is None else shape_schema(others, described),
                "properties": _properties(fields, described),
            }
        case Object(fields, cases, _, _):
            then = [
                {
                    "if": {
                        "additionalProperties": True,
                        "properties": {case.field: {"type": "string", "enum": [case.value]}},
                    },
                    "then": {
                        "required": _required(case.more),
                        "additionalProperties": False,
                        "properties": {
                            **{field.name: {} for field in fields},
                            **_properties(case.more, described),
                        },
                    },
                }
                for case in cases
            ]
            return {
                "type": "object",
                "required": _required(fields),
                "additionalProperties": True,
                "properties": _properties(fields, described),
                "allOf": then,
            }


def _required(fields: Sequence[Field]) -> list[str]:
    return [field.name for field in fields if field.always]


def _properties(fields: Sequence[Field], described: bool) -> JsonObject:
    return {
        field.name: shape_schema(field.shape, described) | ({"description": [field.about]} if described else {})
        for field in fields
    }
