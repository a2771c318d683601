"""The files that are made from the table of commands, as texts by their names below `docs/`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pay.commands.pages.markdown import markdown
from pay.commands.pages.page import Example, page_of
from pay.commands.pages.roff import roff
from pay.commands.pages.schema import command_schema, error_schemas
from pay.commands.table import COMMANDS

EXAMPLES = "commands/examples.json"
"""What the plugin really answered, by command; read, not made, here."""

_INDEX = """# Commands

Made from the table of commands (`make docs`): a page and a schema for each. The schemas are in the form of Core
Lightning's own (`doc/schemas` in its repository). It has none for errors: [errors.json](errors.json) has one for
the member `error` of an answer, by command and code.

`make man` puts the manual pages of [docs/man](../man) where `man` looks, so that `lightning-cli help paystatus`
shows one. Where the node has a page of that name (`pay`, `listpays`, `xpay`) ours is called `clnpay-pay`.

| command | | schema |
|---|---|---|
"""


def files(examples: Mapping[str, Sequence[Example]]) -> dict[str, str]:
    """All of them."""
    man_pages = {command.name: command.man_page for command in COMMANDS}
    made, index = {}, _INDEX
    for command in COMMANDS:
        name, title, shown = command.name, command.words.title, examples.get(command.name, ())
        schema = command_schema(command, man_pages, shown)
        made[f"commands/{name}.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        made[f"commands/{name}.md"] = markdown(name, title, page_of(command, shown), man_pages.keys())
        made[f"man/{command.man_page}.7"] = roff(command.man_page, title, page_of(command, shown), man_pages)
        index += f"| [{name}]({name}.md) | {title} | [{name}.json]({name}.json) |\n"
    made["commands/README.md"] = index
    errors = {command.name: error_schemas(command) for command in COMMANDS}
    made["commands/errors.json"] = json.dumps(errors, indent=2) + "\n"
    return made
