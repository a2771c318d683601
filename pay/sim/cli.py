"""The command line of the simulated node: leave one running, and talk to it.

`call` reads its arguments as lightning-cli does: all of them `name=value` make an object, otherwise they are
positions; what looks like JSON is JSON, the rest is text.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pay.sim.lightningd.rpc.client import FlatError, call
from pay.sim.lightningd.rpc.jsonstream import RpcError

if TYPE_CHECKING:
    from pay.sim.lightningd.daemon import Lightningd

CHECKOUT = Path(__file__).resolve().parents[2]
HOME = CHECKOUT / ".simnode"
"""Where the simulated node of this checkout lives."""


LEAST_NODES = 10
ANSWER_S = 5.0


def network_size(text: str) -> int:
    """Of a generated network: our own channels need peers, and the peers others."""
    try:
        nodes = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if nodes < LEAST_NODES:
        raise argparse.ArgumentTypeError(f"must be at least {LEAST_NODES}")
    return nodes


def add_node_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `node`."""
    parser.add_argument("--nodes", type=network_size, default=500, help="of a generated network (default 500)")
    parser.add_argument("--network", type=Path, help="a gossip_store to read instead, plain or xz")
    parser.add_argument("--balances", default="uniform", choices=("uniform", "bimodal"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, default=HOME, help="the node's directory")
    plugin = str(CHECKOUT / "clnpay.py")
    parser.add_argument("--plugin", default=plugin, help="executable to start; empty for none")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="an option of the node or the plugin"
    )


def run_node(args: argparse.Namespace) -> int:
    """Leave a node running until it is stopped."""
    import lzma

    from pay.network import GossipStoreError
    from pay.sim.lightningd.daemon import LightningdDied

    running = asyncio.run(_running(args.directory))
    if running is not None:
        print(f"A simulated node is already up at {running}: stop it first, or give another --directory.",
              file=sys.stderr)  # fmt: skip
        return 1
    try:
        return asyncio.run(_run_node(args))
    except BrokenPipeError:
        raise
    except (LightningdDied, GossipStoreError, lzma.LZMAError, OSError, ValueError) as error:
        print(f"The simulated node cannot start: {error}", file=sys.stderr)
        return 1


async def _running(directory: Path) -> Path | None:
    """The socket of a node that is up in this directory and answers."""
    try:
        rpc_path = Path((directory / "running").read_text().strip())
        await asyncio.wait_for(call(rpc_path, "getinfo", {}), ANSWER_S)
    except (OSError, RpcError, FlatError):
        return None
    return rpc_path


async def _run_node(args: argparse.Namespace) -> int:
    # Here and not above: `call` has no use for the world and would have to wait for its libraries.
    from pay.sim.lightningd.daemon import Lightningd
    from pay.sim.network.clock import RealClock
    from pay.sim.playground import make_world

    loop = asyncio.get_running_loop()
    world, us = make_world(
        RealClock(loop), nodes=args.nodes, network=args.network, seed=args.seed, balances=args.balances
    )
    options = dict(_option(text) for text in args.option)
    node = Lightningd(world, us, args.directory, args.plugin or None, options)
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    await node.start()
    marker = _mark(args.directory, node.rpc_path)
    try:
        _greet(node, args)
        waiting = [asyncio.ensure_future(stopping.wait()), asyncio.ensure_future(node.stopped())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
    finally:
        marker.unlink(missing_ok=True)
        await node.stop()
    print("Stopped.")
    return 0


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    return name, value if equals else True


def _mark(directory: Path, rpc_path: Path) -> Path:
    """The file by which `call` finds a node, whatever its network is, as long as it is up."""
    marker = directory / "running"
    marker.write_text(f"{rpc_path}\n")
    return marker


def _greet(node: Lightningd, args: argparse.Namespace) -> None:
    owner = node.plugins.owner("pay")
    elsewhere = [] if args.directory.resolve() == HOME else ["--directory", str(args.directory.resolve())]
    # From whatever directory they are typed in.
    cli = shlex.join(["env", "-C", str(CHECKOUT), _python(), "-m", "pay.sim", "call", *elsewhere])
    client = shlex.join(["lightning-cli", f"--rpc-file={node.rpc_path.resolve()}"])
    world = node.world
    lines = [
        f"A simulated node is up: {node.peer.name}, {node.us.hex()}",
        f"  {node.network}, {len(world.nodes):,} nodes, {len(world.channels):,} channels; {node.version}",
        f"  socket  {node.rpc_path}",
        f"  log     {node.directory / 'log'}",
        f"  pay     {f'answered by {owner.path}' if owner else 'NOT there: the log says why'}",
        "",
        "Pay through it, from another terminal:",
        f"  {cli} sim-invoice any 50000sat coffee",
        f"  {cli} pay <bolt11>",
        f"  {cli} listpays",
        "`sim-invoice` takes a node's alias or id as well; `help` lists all commands.",
        f"Any client of lightningd will do: {client} getinfo",
        "Ctrl-C stops it.",
    ]
    print("\n".join(lines), flush=True)


def _python() -> str:
    """This interpreter as one would type it in the checkout."""
    executable = Path(sys.executable).absolute()
    return str(executable.relative_to(CHECKOUT)) if executable.is_relative_to(CHECKOUT) else str(executable)


def add_call_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `call`."""
    parser.add_argument("--directory", type=Path, default=HOME, help="the node's directory")
    parser.add_argument("method")
    parser.add_argument("arguments", nargs="*", metavar="value | name=value")


def run_call(args: argparse.Namespace) -> int:
    """One command to the running node; its answer on standard output, messages on standard error."""
    marker = args.directory / "running"
    try:
        rpc_path = Path(marker.read_text().strip())
    except OSError:
        print("No simulated node is up here: run `make simnode` first.", file=sys.stderr)
        return 2
    try:
        result = asyncio.run(call(rpc_path, args.method, parameters(args.arguments), _show_message))
    except FlatError as error:
        print(json.dumps(error.error, indent=3, ensure_ascii=False))
        return 1
    except RpcError as error:
        print(json.dumps(error.to_json(), indent=3, ensure_ascii=False))
        return 1
    except OSError as error:
        print(f"The simulated node does not answer at {rpc_path}: {error}. Run `make simnode`.", file=sys.stderr)
        return 2
    if args.method == "help":
        print("\n".join(entry["command"] for entry in result["help"]))
    else:
        print(json.dumps(result, indent=3, ensure_ascii=False))
    return 0


def _show_message(notification: dict[str, Any]) -> None:
    params = notification["params"]
    print(f"# {params.get('message', params)}", file=sys.stderr)


def parameters(arguments: list[str]) -> list[Any] | dict[str, Any]:
    """What the arguments of a command line mean as `params`."""
    pairs = [argument.partition("=") for argument in arguments]
    if arguments and all(equals and name.replace("_", "").replace("-", "").isalnum() for name, equals, _ in pairs):
        return {name: _value(text) for name, _, text in pairs}
    return [_value(argument) for argument in arguments]


def _value(text: str) -> Any:
    """JSON where it is a number, a word of JSON, an array or an object; long digits are text, as ids are."""
    if text[:1] in ("{", "[", '"') or text in ("true", "false", "null"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    if re.fullmatch(r"-?[0-9]{1,19}", text):
        return int(text)
    if re.fullmatch(r"-?[0-9]+\.[0-9]+", text):
        return float(text)
    return text
