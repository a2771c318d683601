"""Makes the examples of the commands' pages: what the plugin in the box really answers.

python -m tests.support.box.examples docs/commands/examples.json
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from pay.sim.network.encoding.failures import FailCode
from tests.support.box.host import SAT, Host, hosting

OWN = {"xpay": "clnpay-xpay"}
"""What is called where the node has a command of that name too."""

Examples = dict[str, list[dict[str, Any]]]


def record(host: Host) -> Examples:
    """Call, and keep calls with their answers."""
    made: Examples = {"pay": [], "paystatus": [], "listpays": [], "payliquidity": [], "xpay": []}

    def example(title: str, method: str, **params: Any) -> None:
        answer = host.call(OWN.get(method, method), params)
        said = {"response": answer.result} if answer.error is None else {"error": answer.error}
        made[method].append({"title": title, "request": {"method": method, "params": params}, **said})

    coffee = host.invoice(amount_msat=50_000 * SAT)
    example("Pay an invoice", "pay", bolt11=coffee.bolt11, label="coffee")
    dear = host.invoice(amount_msat=70_000 * SAT)
    example("A limit that no route keeps", "pay", bolt11=dear.bolt11, maxfee="1sat")
    with host.misbehaving("far", fail_code=FailCode.TEMPORARY_NODE_FAILURE):
        example("A recipient that is in trouble", "pay", bolt11=dear.bolt11, retry_for=0)
    tea = host.invoice(amount_msat=40_000 * SAT)
    example("Pay an invoice", "xpay", invstring=tea.bolt11)
    example("Pay it again", "xpay", invstring=tea.bolt11)
    example("A payment that is over, by its invoice", "listpays", bolt11=coffee.bolt11)
    example("A payment that is over", "paystatus", bolt11=coffee.bolt11)
    held = host.invoice(amount_msat=60_000 * SAT, hold=True)
    pending = host.pay_held(held)
    example("A payment that the recipient holds", "paystatus", bolt11=held.payment_hash.hex())
    example("It is pending", "listpays", payment_hash=held.payment_hash.hex())
    host.release(held)
    pending.answer().ok()
    example("What was learnt last", "payliquidity", limit=1)
    example("All of it, to keep or to give away", "payliquidity", subcommand="export")
    exported = made["payliquidity"][-1]["response"]
    example("Take it", "payliquidity", subcommand="import", data=exported)
    example("Forget it", "payliquidity", subcommand="reset")
    return made


def main(path: str) -> None:
    with tempfile.TemporaryDirectory() as directory, hosting(Path(directory)) as host:
        made = record(host)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
