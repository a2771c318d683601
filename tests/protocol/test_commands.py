"""Every command of the table, asked of the real plugin: it is there, `check` answers for it, its schema holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pay.app.front_door import own_name
from pay.commands.form.command import Command
from pay.commands.table import COMMANDS
from pay.host.version import HOOK_FILTERS_SINCE, Version
from tests.support.box.host import Host, hosting
from tests.support.schemas import answer_schema, problems

EACH = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


@pytest.fixture(scope="module", params=["v26.06.6", "v25.09"])
def version(request: pytest.FixtureRequest) -> str:
    """On the newer one `listpays` is another plugin's."""
    return str(request.param)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, version: str) -> Iterator[Host]:
    with hosting(Path(tmp_path_factory.mktemp("host")), version=version) as host:
        yield host


def right(host: Host, command: Command[Any]) -> dict[str, Any]:
    """Parameters of a call that can be answered."""
    required = {parameter.name for parameter in command.parameters if parameter.required}
    assert required <= {"bolt11", "invstring"}
    return {name: host.invoice().bolt11 for name in required}


@pytest.fixture
def name(command: Command[Any], version: str) -> str:
    """By which it is ours."""
    if command.name != "xpay":
        return command.name
    if not Version.parse(version).since(HOOK_FILTERS_SINCE):
        pytest.skip("it is the node's own there, if that has it")
    return own_name(command.name)


@EACH
def test_a_command_is_answered_as_its_schema_says(host: Host, command: Command[Any], name: str) -> None:
    """`call` holds every answer against it as well; this one is a success for sure."""
    result = host.call(name, right(host, command)).ok()
    assert problems(answer_schema(command.name), result) == []


@EACH
def test_check_is_answered_for_it(host: Host, command: Command[Any], name: str) -> None:
    """And nothing is sent."""
    mark = host.mark()
    checked = host.call("check", {"command_to_check": name, **right(host, command)})
    assert checked.ok() == {"command_to_check": command.name}
    refused = host.call("check", {"command_to_check": name, **right(host, command), "nonsense": 1})
    assert refused.code == -32602
    assert "sendpay" not in host.methods(mark)


@EACH
def test_the_host_shows_its_usage(host: Host, version: str, command: Command[Any], name: str) -> None:
    (shown,) = host.call("help", {"command": name}).ok()["help"]
    usage = command.usage(Version.parse(version), developer=False)
    if command.name != "listpays" or version == "v25.09":
        assert shown["command"] == f"{name} {usage}"
