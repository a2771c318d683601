"""`python -m pay.sim node | call | demo`: a simulated node to play with, and the demonstration."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pay.sim import cli
from pay.units import parse_msat


def _demo(args: argparse.Namespace) -> int:
    from pay.sim import demo

    return demo.run(args.nodes, args.network, args.amount, args.seed)


def main() -> int:
    """Exit status of the subcommand."""
    parser = argparse.ArgumentParser(prog="python -m pay.sim", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    node = commands.add_parser("node", help="leave a simulated node running")
    cli.add_node_arguments(node)
    node.set_defaults(run=cli.run_node)
    call = commands.add_parser("call", help="one command to the running node")
    cli.add_call_arguments(call)
    call.set_defaults(run=cli.run_call)
    show = commands.add_parser("demo", help="pay invoices on a simulated network")
    show.add_argument("--nodes", type=int, default=500, help="size of a generated network (default 500)")
    show.add_argument("--network", type=Path, help="a gossip_store to read instead, plain or xz")
    show.add_argument("--amount", type=parse_msat, help="of every invoice, e.g. 50000sat")
    show.add_argument("--seed", type=int, default=1)
    show.set_defaults(run=_demo)
    args = parser.parse_args()
    status: int = args.run(args)
    return status


if __name__ == "__main__":
    sys.exit(main())
