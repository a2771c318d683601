"""Options: listconfigs and setconfig."""

from __future__ import annotations

from typing import Any

from pay.sim.lightningd.commands.context import Context
from pay.sim.lightningd.commands.table import Answer, checked, host_command
from pay.sim.lightningd.plugins.configs import Option, OptionError
from pay.sim.lightningd.rpc.command import Command
from pay.sim.lightningd.rpc.jsonstream import RpcError
from pay.sim.lightningd.rpc.params import INVALID_PARAMS, any_value, boolean, opt, req, string, text_of


@host_command("listconfigs", opt("config", string))
def listconfigs(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    options = context.configs.options.values()
    if args["config"] is not None:
        options = [_option(context, args["config"], command)]  # type: ignore[assignment]
    shown = {option.name: option.to_json() for option in options}
    return {"configs": {name: entry for name, entry in shown.items() if entry is not None}}


@host_command(
    "setconfig", req("config", string), opt("val", any_value), opt("transient", boolean, False, since=(25, 2)),
    checks_itself=True,
)  # fmt: skip
async def setconfig(context: Context, command: Command, args: dict[str, Any]) -> Answer:
    """The plugin that owns the option has the last word; only then the value counts.

    Hosts before v25.02 have no `transient`: they always write the operator's configuration.
    """
    option = _option(context, args["config"], command)
    if not option.dynamic:
        raise context.bad_param("config", "Not a dynamic config option", args["config"], command)
    # lightningd looks for the values of a multi option by name only: given by position there are none.
    by_name = isinstance(command.params, dict) or not option.multi
    values = _values(option, args["val"] if by_name else None)
    await _ask_owner(context, command, option, values)
    checked(command)
    transient = args.get("transient", False)
    source = "setconfig transient" if transient else context.settings.setconfig_source
    option.values[:] = [(value, source) for value in values]
    if not transient:
        context.db.remember_config(option.name, values)
    return {"config": {"config": option.name, **(option.to_json() or {})}}


def _option(context: Context, name: str, command: Command) -> Option:
    """Raises RpcError in lightningd's words."""
    option = context.configs.options.get(name)
    if option is None:
        raise context.bad_param("config", "Unknown config option", name, command)
    return option


def _values(option: Option, given: Any) -> list[str]:
    if option.multi:
        if given is not None and not isinstance(given, list):
            raise RpcError(INVALID_PARAMS, f"{option.name} is a multi option: val must be an array")
        values = [text_of(value) for value in given or []]
    elif isinstance(given, list):
        raise RpcError(INVALID_PARAMS, f"{option.name} is not a multi option: val must not be an array")
    elif option.kind == "flag":
        if given is not None:
            raise RpcError(INVALID_PARAMS, f"{option.name} does not take a value")
        values = ["true"]
    elif given is None:
        raise RpcError(INVALID_PARAMS, f"{option.name} requires a value")
    else:
        values = [text_of(given)]
    return values


async def _ask_owner(context: Context, command: Command, option: Option, values: list[str]) -> None:
    plugin = next((p for p in context.plugins.all if str(p.path) == option.plugin), None)
    if plugin is None:
        try:
            for value in values:
                option.check(value)
        except OptionError as error:
            raise RpcError(INVALID_PARAMS, str(error)) from None
        return
    params: dict[str, Any] = {"config": option.name}
    if option.multi:
        params["val"] = values
    elif option.kind != "flag":
        params["val"] = values[0]
    method = "setconfig"
    if command.check_only:
        if not plugin.manifest.get("cancheck", False):
            return
        method, params = "check", {"command_to_check": "setconfig", **params}
    answer = await context.plugins.request(plugin, method, params, command.id_prefix)
    if "error" in answer:
        raise RpcError(int(answer["error"]["code"]), str(answer["error"]["message"]))
