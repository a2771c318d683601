"""`python -m pay.sim node | call | demo`: a simulated node to play with, and the demonstration."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pay.sim import cli
from pay.units import parse_msat

INTERRUPTED = 130
NOBODY_READS = 141
"""Exit statuses as shells give them to SIGINT and SIGPIPE."""


def _amount(text: str) -> int:
    try:
        amount_msat = parse_msat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if amount_msat < 1:
        raise argparse.ArgumentTypeError("must be more than nothing")
    return amount_msat


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
    show.add_argument("--nodes", type=cli.network_size, default=500, help="of a generated network (default 500)")
    show.add_argument("--network", type=Path, help="a gossip_store to read instead, plain or xz")
    show.add_argument("--amount", type=_amount, help="of every invoice, e.g. 50000sat")
    show.add_argument("--seed", type=int, default=1)
    show.set_defaults(run=_demo)
    args = parser.parse_args()
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on. What is still buffered must not be tried again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
    return status


if __name__ == "__main__":
    sys.exit(main())
