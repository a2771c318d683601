"""`python -m pay.sim node | call | demo`: a simulated node to play with, and the demonstration."""

from __future__ import annotations

import argparse
import importlib
import sys

from pay.sim import cli


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
    if "demo" in sys.argv[1:2]:
        demo = importlib.import_module("pay.sim.demo")
        show = commands.add_parser("demo", help="pay invoices on a simulated network")
        demo.add_arguments(show)
        show.set_defaults(run=demo.run)
    args = parser.parse_args()
    status: int = args.run(args)
    return status


if __name__ == "__main__":
    sys.exit(main())
