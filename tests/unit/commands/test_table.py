"""The table of commands: each has all that a command has, and what is made from it is what is committed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from jsonschema import Draft7Validator

from pay.commands.form.command import Command
from pay.commands.form.errors import error_json
from pay.commands.form.parameters import Parameter, given, usage
from pay.commands.form.shapes import (
    MSAT,
    STRING,
    U32,
    Array,
    Case,
    Kind,
    Object,
    OneOf,
    Scalar,
    always,
    maybe,
    words,
)
from pay.commands.pages.files import EXAMPLES, files
from pay.commands.pages.markdown import markdown
from pay.commands.pages.page import Code, Heading, Item, Paragraph, SeeAlso, page_of
from pay.commands.pages.roff import roff
from pay.commands.pages.schema import error_schema, shape_schema
from pay.commands.pay import parse_request
from pay.commands.table import COMMANDS
from pay.errors import Code as ErrorCode
from pay.errors import HostsOwn, PayError
from pay.host.version import Version
from tests.support.checkout import ROOT
from tests.support.commands import context, silent
from tests.support.documents import DOCS, code, section
from tests.support.rawrpc import Answer
from tests.support.schemas import check_answer, problems
from tests.support.waiting import PATIENCE_S, played

EACH = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
NEWEST = Version.parse("v26.06")


# --- each command -------------------------------------------------------------------------------------------


@EACH
def test_a_command_has_its_words(command: Command[Any]) -> None:
    assert command.summary and command.words.title and command.words.about and command.words.see_also
    assert ErrorCode.INVALID_PARAMS in [failing.code for failing in command.errors]
    for parameter in command.parameters:
        assert parameter.about.endswith("."), parameter.name
        assert parameter.default is None or parameter.default_words, f"{parameter.name} has a default unsaid"
    named = [name for parameter in command.parameters for name in (parameter.name, parameter.other_name) if name]
    assert len(named) == len(set(named))


@EACH
def test_a_command_reads_what_it_lists(command: Command[Any]) -> None:
    """By position as many as its usage has; a name that it does not list is none."""
    shown = command.usage(NEWEST, developer=False).split()
    assert len(shown) == len([parameter for parameter in command.parameters if not parameter.developer])
    for params in ([None] * (len(shown) + 1), ["x"] * (len(shown) + 1)):
        with pytest.raises(PayError, match=f"too many parameters: .*`{command.name}` takes {len(shown)} at"):
            command.read(params, NEWEST, False)
    with pytest.raises(PayError, match="unknown parameter: 'nonsense'"):
        command.read({"nonsense": 1}, NEWEST, False)
    for params in (None, "x", 7):
        with pytest.raises(PayError, match="Expected array or object for params"):
            command.read(params, NEWEST, False)


def test_names_are_those_of_one_command() -> None:
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)


def test_the_errors_of_pay_are_all_there_are() -> None:
    (pay,) = (command for command in COMMANDS if command.name == "pay")
    assert {failing.code for failing in pay.errors} == set(ErrorCode)


def test_defaults_are_what_documents_say() -> None:
    """A call that says each of them is the call that says none."""
    (pay,) = (command for command in COMMANDS if command.name == "pay")
    said = {each.name: each.default_words for each in pay.parameters if each.default_words and not each.developer}
    assert said.pop("exclude") == "none"
    assert set(said) == {"riskfactor", "maxfeepercent", "retry_for", "maxdelay", "exemptfee"}
    plain, called = parse_request({"bolt11": "x"}), parse_request({"bolt11": "x", **said})
    for amount_msat in (1, 999_999, 1_000_200, 10**12):
        assert plain.fee_limit_msat(amount_msat) == called.fee_limit_msat(amount_msat)
    for name in ("riskfactor", "retry_for_s", "maxdelay_blocks"):
        assert getattr(plain, name) == getattr(called, name)


def test_the_example_of_contributing() -> None:
    """It is a command as it is written: read, answered as its schema says, and a page is made of it."""
    (text,) = code(section(ROOT / "CONTRIBUTING.md", "How to add a command"), "python")
    names: dict[str, Any] = {}
    exec(compile(text, "CONTRIBUTING.md", "exec"), names)
    command: Command[Any] = names["COMMAND"]
    test_a_command_has_its_words(command)
    test_a_command_reads_what_it_lists(command)
    test_a_schema_is_one(command)

    async def story() -> dict[str, Any]:
        return await command.answer(command.read([], NEWEST, False), context(None), silent)

    answered = played(story())
    assert answered and not problems(shape_schema(command.answers), answered)
    page = markdown(command.name, command.words.title, page_of(command), {"pay"})
    assert all(f"**{field}**" in page for field in answered)


# --- what is made -------------------------------------------------------------------------------------------


def examples() -> dict[str, list[dict[str, Any]]]:
    read: dict[str, list[dict[str, Any]]] = json.loads((DOCS / EXAMPLES).read_text(encoding="utf-8"))
    return read


def test_what_is_committed_is_what_the_table_makes() -> None:
    """`make docs` after a change of the table."""
    made = files(examples())
    for name, text in made.items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, f"{name}: run make docs"
    there = {f"{folder}/{path.name}" for folder in ("commands", "man") for path in (DOCS / folder).iterdir()}
    assert there == {*made, EXAMPLES}


@EACH
def test_examples_are_as_the_schema_says(command: Command[Any]) -> None:
    shown = examples()[command.name]
    assert any("response" in example for example in shown)
    for example in shown:
        answer = Answer(example.get("response"), example.get("error"))
        check_answer(command.name, example["request"]["params"], answer)


@EACH
def test_a_schema_is_one(command: Command[Any]) -> None:
    """Of draft 7, but for the names of the host's types, and that it has paragraphs for a description."""
    shapes = [shape_schema(command.answers, described=False), *map(error_schema, command.errors)]
    text = json.dumps(shapes)
    for kind in Kind:
        text = text.replace(f'"type": "{kind.value}"', '"type": "string"')
    for schema in json.loads(text):
        Draft7Validator.check_schema(schema)


def test_the_host_starts_us_without_what_only_documents_need() -> None:
    code = "import sys, pay.app.application; print([m for m in sys.modules if m.startswith('pay.commands.pages')])"
    code += "; print({'numpy', 'scipy', 'jsonschema'} & set(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=DOCS.parent, capture_output=True, text=True, timeout=PATIENCE_S,
        check=True,
    )  # fmt: skip
    assert run.stdout.split() == ["[]", "set()"]


# --- the reader of parameters -------------------------------------------------------------------------------

SOME = (
    Parameter("first", STRING, str, "One.", required=True, other_name="uno", leads_since=(25, 2)),
    Parameter("second", U32, int, "Two.", 7, "7"),
    Parameter("hidden", U32, int, "For us.", developer=True),
    Parameter("new", U32, int, "Of a newer host.", 3, "3", since=(99, 12)),
)


def test_names_and_positions() -> None:
    take = given("some", SOME, ["a", None])
    assert (take["first"], take["second"], "second" in take) == ("a", 7, False)
    assert given("some", SOME, {"uno": "a", "second": "8"})["second"] == 8
    assert given("some", SOME, ["a", 1, 2], developer=True)["hidden"] == 2
    assert given("some", SOME, ["a", 1, 2])["new"] == 2


def test_a_parameter_that_the_host_does_not_have_yet() -> None:
    """It is not there, by its name or by its place; what it stands for has its default."""
    assert given("some", SOME, {"first": "a"}, NEWEST)["new"] == 3
    with pytest.raises(PayError, match="unknown parameter: 'new'"):
        given("some", SOME, {"first": "a", "new": None}, NEWEST)
    with pytest.raises(PayError, match="`some` takes 2 at the most"):
        given("some", SOME, ["a", 1, 2], NEWEST)
    with pytest.raises(PayError, match="`some` takes 3 at the most"):
        given("some", SOME, ["a", 1, 2, 3], NEWEST, developer=True)


def test_usage_of_older_and_newer_hosts() -> None:
    assert usage(SOME, Version.parse("v24.11"), developer=False) == "first [second]"
    assert usage(SOME, Version.parse("v25.02"), developer=True) == "uno [second] [hidden]"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "missing required parameter: first"),
        ({"first": None}, "missing required parameter: first"),
        ({"first": "a", "uno": "b"}, "duplicate parameters: first and uno are the same one"),
        ({"first": "a", "hidden": 1}, "unknown parameter: 'hidden'"),
        (["a", 1, 2], "too many parameters: 3 values were given, and `some` takes 2 at the most"),
    ],
    ids=str,
)
def test_what_is_refused(params: Any, message: str) -> None:
    with pytest.raises(PayError) as refused:
        given("some", SOME, params, NEWEST)
    assert refused.value.code == ErrorCode.INVALID_PARAMS and refused.value.message.startswith(message)


def test_a_problem_begins_with_the_name() -> None:
    with pytest.raises(PayError, match=r"^second: invalid literal"):
        given("some", SOME, {"first": "a", "second": "x"})["second"]


# --- the check of answers -----------------------------------------------------------------------------------

SHAPE = Object(
    (
        always("status", words("paid", "failed"), "How."),
        maybe("parts", Array(Object((always("msat", MSAT, "How much."),))), "Parts."),
        maybe("either", OneOf((U32, Scalar(Kind.NULL))), "A number or none."),
    ),
    (Case("status", "paid", (always("proof", Scalar(Kind.SECRET), "Proof."),)), Case("status", "failed", ())),
)


@pytest.mark.parametrize(
    "value",
    [
        {"status": "failed"}, {"status": "failed", "parts": []}, {"status": "failed", "either": None},
        {"status": "paid", "proof": "ab" * 32, "parts": [{"msat": 0}, {"msat": 2**64 - 1}], "either": 3},
    ],
    ids=str,
)  # fmt: skip
def test_an_answer_as_it_should_be(value: Any) -> None:
    assert problems(shape_schema(SHAPE), value) == []


@pytest.mark.parametrize(
    "value",
    [
        {}, [], None, {"status": "pending"}, {"status": "failed", "more": 1},
        {"status": "failed", "proof": "ab" * 32},
        {"status": "paid"}, {"status": "paid", "proof": "AB" * 32}, {"status": "failed", "parts": {}},
        {"status": "failed", "parts": [{}]}, {"status": "failed", "parts": [{"msat": 1, "sat": 1}]},
        {"status": "failed", "parts": [{"msat": "1msat"}]}, {"status": "failed", "parts": [{"msat": True}]},
        {"status": "failed", "parts": [{"msat": -1}]}, {"status": "failed", "parts": [{"msat": 1.0}]},
        {"status": "failed", "either": "3"},
    ],
    ids=str,
)  # fmt: skip
def test_an_answer_that_the_check_must_see(value: Any) -> None:
    assert problems(shape_schema(SHAPE), value)


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("pay", PayError(-7, "no code of ours")),
        ("pay", PayError(ErrorCode.INVOICE_EXPIRED, "without its times")),
        ("pay", PayError(ErrorCode.ALREADY_USED, "with more", HostsOwn({"what": 1}))),
        ("pay", PayError(ErrorCode.ROUTE_NOT_FOUND, "half of all it has", HostsOwn({"status": "failed"}))),
        ("paystatus", PayError(ErrorCode.ROUTE_NOT_FOUND, "of another command")),
    ],
    ids=lambda value: getattr(value, "message", None),
)
def test_an_error_that_the_check_must_see(method: str, error: PayError) -> None:
    with pytest.raises(AssertionError):
        check_answer(method, {"bolt11": "x"}, Answer(error=error_json(error)))


def test_a_call_that_should_not_have_been_taken() -> None:
    answer = Answer({"pays": []})
    check_answer("listpays", {"status": "failed"}, answer)
    for params in ({"status": "nonsense"}, {"statuses": "failed"}, [1, 2, 3]):
        with pytest.raises(AssertionError, match="was taken"):
            check_answer("listpays", params, answer)


# --- manual pages -------------------------------------------------------------------------------------------


def test_what_roff_would_take_for_its_own() -> None:
    """A backslash, a leading dot or quote, and hyphens that are to be typed."""
    blocks = [
        Heading("How"), Paragraph("*it* and **that** -k"), Item(0, "one"), Item(1, "two"), Code(".x\\n\n'y"),
        SeeAlso(("pay", "lightning-decode(7)")),
    ]  # fmt: skip
    assert roff("lightning-x", "Do x", blocks, {"pay": "clnpay-pay"}).split("\n")[2:] == [
        "lightning\\-x \\- Do x", ".SH HOW", ".PP", "\\fIit\\fP and \\fBthat\\fP \\-k", ".IP \\(bu 2", "one",
        ".RS 2", ".IP \\(bu 2", "two", ".RE", ".PP", ".RS 4", ".nf", "\\&.x\\en", "\\&'y", ".fi", ".RE", ".PP",
        "clnpay\\-pay(7), lightning\\-decode(7)", "",
    ]  # fmt: skip
