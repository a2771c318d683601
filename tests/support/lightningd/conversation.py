"""A conversation with a node about everything that the plugin, or a reader of payments, asks it.

The same conversation is held with lightningd and with the box. What is kept of an answer is its keys and JSON
types, of an error its code, message and the shape of its data; `answers.json` is what
lightningd v26.06 said. It stands on the same bench as the table of `sendpay`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pay.network import HintHop
from pay.sim.network.encoding.bolt11 import Bolt11, encode
from pay.units import NodeId, Scid
from tests.support.lightningd.sendpay_table import Bench, Invoice, Payee, Send, take, without_token
from tests.support.plugins import WITNESS
from tests.support.rawrpc import Answer, shape

RECORDED = Path(__file__).with_name("answers.json")
RECORDED_VERSION = "v26.06"
_SECRET = bytes([7]) * 32
_NOBODY = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
_HINT = (
    HintHop(NodeId(bytes.fromhex(_NOBODY)), Scid(1 << 40 | 2 << 16 | 3), 1, 20, 3),
)  # fmt: skip


class Conversation:
    """Asks, and keeps what is worth comparing, by a name for each question."""

    def __init__(self, bench: Bench):
        self.bench = bench
        self.heard: dict[str, Any] = {}

    def ask(self, method: str, params: Any = None, name: str = "") -> Answer:
        """One call; `name` tells apart questions to the same method."""
        answer = self.bench.call(method, {} if params is None else params)
        key = f"{method} {name}".strip()
        assert key not in self.heard, f"asked twice: {key}"
        self.heard[key] = kept(answer)
        return answer


def kept(answer: Answer) -> Any:
    """What is compared of an answer."""
    if answer.error is None:
        return shape(answer.result)
    error: dict[str, Any] = {"code": answer.code, "message": without_names(answer.error["message"])}
    if set(answer.error) - {"code", "message"}:
        error["more"] = {k: shape(v) for k, v in answer.error.items() if k not in ("code", "message")}
    return {"error": error}


def without_names(message: str) -> str:
    """A message without what differs from run to run."""
    message = without_token(message)
    for pattern, name in (
        (r"lnbcrt1?[0-9a-z]{50,}", "BOLT11"), (r"\b[0-9a-f]{64,66}\b", "HEX"), (r"\b\d+x\d+x\d+\b", "SCID"),
        (r"/[^ :]*/", "DIRECTORY/"),
    ):  # fmt: skip
        message = re.sub(pattern, name, message)
    return message


def recorded() -> dict[str, Any]:
    """What lightningd said."""
    said: dict[str, Any] = json.loads(RECORDED.read_text())
    return said


def hold(bench: Bench) -> dict[str, Any]:
    """The whole conversation; what was heard, by question."""
    talk = Conversation(bench)
    for topic in (_node, _decode, _invoices, _network, _payments, _datastore, _configuration, _plugins, _mistakes):
        topic(talk)
    return talk.heard


def _node(talk: Conversation) -> None:
    height = talk.ask("getinfo").ok()["blockheight"]
    talk.ask("getchaininfo")
    talk.ask("getchaininfo", {"last_height": 0}, "as the builtin asks")
    talk.ask("getchaininfo", {"last_height": "x"}, "nonsense")
    talk.ask("waitblockheight", {"blockheight": height}, "reached")
    talk.ask("waitblockheight", {"blockheight": height + 1, "timeout": 1}, "not reached")
    talk.ask("waitblockheight", {"blockheight": "x"}, "nonsense")
    talk.ask("ping", {"id": talk.bench.node_id(Payee.NEAR)})
    talk.ask("ping", {"id": talk.bench.node_id(Payee.FAR)}, "somebody else")
    talk.ask("help", {"command": "sendpay"}, "sendpay")
    talk.ask("help", {"command": "listpeerchannels"}, "listpeerchannels")
    talk.ask("help", {"command": "nonsense"}, "nonsense")
    talk.ask("batching", {"enable": True})


def _written(**fields: Any) -> str:
    """An invoice that is the same on both sides."""
    given: dict[str, Any] = {
        "payment_hash": b"\x11" * 32, "created_at": 1_790_000_000, "amount_msat": 100_000, "description": "tea",
        "payment_secret": b"\x22" * 32, "currency": "bcrt", "expiry": 600_000_000, "min_final_cltv_expiry": 10,
        "features": 1 << 8 | 1 << 14 | 1 << 17, **fields,
    }  # fmt: skip
    return encode(Bolt11(**given), _SECRET)


def _decode(talk: Conversation) -> None:
    plain = _written()
    cases = {
        "plain": plain, "upper case": plain.upper(), "with prefix": f"lightning:{plain}",
        "upper case with prefix": f"LIGHTNING:{plain.upper()}", "any amount": _written(amount_msat=None),
        "description hash": _written(description=None, description_hash=b"\x33" * 32),
        "hints": _written(routes=(_HINT, _HINT)),
        "metadata": _written(payment_metadata=b"\x44", features=1 << 8 | 1 << 14 | 1 << 17 | 1 << 48),
        "no secret": _written(payment_secret=None, features=0), "no expiry given": _written(expiry=3600),
        "expired": _written(created_at=1_500_000_000, expiry=60), "another network": _written(currency="bc"),
        "unknown required feature": _written(features=1 << 8 | 1 << 14 | 1 << 100),
        "broken checksum": plain[:-1] + ("q" if plain[-1] != "q" else "p"), "truncated": plain[:60],
        "mixed case": plain[:-1] + plain[-1].upper() if plain[-1].isalpha() else plain[:-2] + "Q" + plain[-1],
        "nonsense": "nonsense", "empty": "", "a number": 17, "an unknown network": "lnxx1" + plain[7:],
    }  # fmt: skip
    for name, text in cases.items():
        talk.ask("decode", {"string": text}, name)
    talk.ask("decode", {}, "nothing")
    talk.ask("preapproveinvoice", {"bolt11": plain})
    talk.ask("preapproveinvoice", {}, "nothing")


def _invoices(talk: Conversation) -> None:
    made = talk.ask("invoice", {"amount_msat": 1000, "label": "a-1", "description": "tea"}, "plain").ok()
    talk.ask("invoice", {"amount_msat": "any", "label": "a-2", "description": "tea"}, "any amount")
    talk.ask("invoice", {"amount_msat": "1sat", "label": 3, "description": "tea", "expiry": 60, "cltv": 20,
                         "preimage": "55" * 32, "deschashonly": True}, "all options")  # fmt: skip
    talk.ask("invoice", {"amount_msat": 1000, "label": "a-1", "description": "tea"}, "label again")
    talk.ask(
        "invoice",
        {"amount_msat": 1000, "label": "a-4", "description": "t", "preimage": "55" * 32},
        "preimage again",
    )
    mistakes: dict[str, dict[str, Any]] = {
        "bad amount": {"amount_msat": "x"}, "zero": {"amount_msat": 0}, "negative": {"amount_msat": -1},
        "bad label": {"label": [1]}, "bad expiry": {"expiry": "x"}, "bad preimage": {"preimage": "55"},
    }  # fmt: skip
    for name, wrong in mistakes.items():
        talk.ask("invoice", {"amount_msat": 1000, "label": "a-5", "description": "t", **wrong}, name)
    talk.ask("invoice", {"amount_msat": 1000, "label": "a-6"}, "no description")
    talk.ask("listinvoices", {"label": "a-1"}, "by label")
    talk.ask("listinvoices", {"payment_hash": made["payment_hash"]}, "by hash")
    talk.ask("listinvoices", {"invstring": made["bolt11"]}, "by string")
    talk.ask("listinvoices", {"label": "a-2"}, "any amount")
    talk.ask("listinvoices", {"label": "nobody"}, "unknown")
    talk.ask("listinvoices", {"label": "a-1", "payment_hash": made["payment_hash"]}, "two keys")
    talk.ask("listinvoices", {"invstring": "nonsense"}, "nonsense")


def _network(talk: Conversation) -> None:
    bench = talk.bench
    host, hub, far = (bench.node_id(payee) for payee in (Payee.HOST, Payee.NEAR, Payee.FAR))
    talk.ask("listpeers")
    talk.ask("listpeers", {"id": hub}, "by id")
    talk.ask("listpeers", {"id": far}, "not a peer")
    talk.ask("listpeerchannels", {"id": hub}, "by id")
    talk.ask("listpeerchannels", {"id": far}, "not a peer")
    talk.ask("listpeerchannels", {"id": "x"}, "nonsense")
    talk.ask("listhtlcs")
    talk.ask("listhtlcs", {"id": "1x1x1"}, "unknown")
    talk.ask("listhtlcs", {"id": "x"}, "nonsense")
    talk.ask("listhtlcs", {"index": "x"}, "bad index")
    talk.ask("listhtlcs", {"start": "x"}, "bad start")
    talk.ask("listnodes")
    talk.ask("listnodes", {"id": far}, "by id")
    talk.ask("listnodes", {"id": _NOBODY}, "unknown")
    talk.ask("listnodes", {"id": "02" + "11" * 32}, "not on the curve")
    talk.ask("listnodes", {"id": "x"}, "nonsense")
    talk.ask("listchannels")
    talk.ask("listchannels", {"short_channel_id": bench.scid(1)}, "by scid")
    talk.ask("listchannels", {"source": host}, "by source")
    talk.ask("listchannels", {"destination": far}, "by destination")
    talk.ask("listchannels", {"short_channel_id": "1x1x1"}, "unknown")
    talk.ask("listchannels", {"source": host, "destination": far}, "two keys")
    talk.ask("listchannels", {"short_channel_id": "x"}, "nonsense")


def _payments(talk: Conversation) -> None:
    """One payment pending with all that may be said about it, one complete in two parts, one failed."""
    bench = talk.bench
    for name, payee, failure in (("pending", Payee.NEAR, None), ("complete", Payee.NEAR, None),
                                 ("failed", Payee.FAR, "2002")):  # fmt: skip
        invoice = bench.invoice(payee, 100_000)
        more = {"bolt11": invoice.bolt11, "label": "l", "description": "tea"}
        bench.hold(invoice)
        take(Send(part=1, msat=60_000, to=payee, change=more), bench, invoice)
        take(Send(part=2, msat=40_000, to=payee), bench, invoice)
        _until_held(bench, invoice)
        if name != "pending":
            bench.release(invoice, failure)
            _until_over(bench, invoice)
        for method in ("listsendpays", "listpays"):
            talk.ask(method, {"payment_hash": invoice.payment_hash}, f"{name}, by hash")
            talk.ask(method, {"bolt11": invoice.bolt11}, f"{name}, by bolt11")
        if name == "pending":
            talk.ask("listpeerchannels", {"id": bench.node_id(Payee.NEAR)}, "with HTLCs")
            talk.ask("listhtlcs", {}, "with HTLCs")
            some = {"id": bench.scid(0), "index": "created", "start": 1, "limit": 1}
            talk.ask("listhtlcs", some, "of a channel")
            talk.ask(
                "listsendpays", {"payment_hash": invoice.payment_hash, "status": "complete"}, "another status"
            )
            talk.ask("listsendpays", {"status": "pending"}, "by status")
            bench.release(invoice, "2002")
            _until_over(bench, invoice)
    for method in ("listsendpays", "listpays"):
        talk.ask(method, {"bolt11": "nonsense"}, "nonsense")
        talk.ask(method, {"payment_hash": "x"}, "bad hash")
        talk.ask(method, {"status": "x"}, "bad status")
        talk.ask(method, {"payment_hash": "11" * 32}, "unknown")
        talk.ask(method, {"bolt11": _written(), "payment_hash": "11" * 32}, "two keys")
        talk.ask(method, {"index": "created", "start": 2, "limit": 1}, "by index")
        talk.ask(method, {"start": 2}, "start without index")
    talk.ask("delpay", {"payment_hash": "11" * 32}, "no status")
    talk.ask("autoclean-once", {"subsystem": "failedpays", "age": 1_000_000}, "of pays")
    talk.ask("autoclean-once", {"subsystem": "nonsense", "age": 1}, "nonsense")
    talk.ask("autoclean-once", {"subsystem": "failedpays", "age": 0}, "no age")
    talk.ask("autoclean-once", {"subsystem": "failedpays"}, "without age")
    talk.ask("waitsendpay", {"payment_hash": "x"}, "bad hash")
    talk.ask("waitsendpay", {}, "nothing")


def _until_held(bench: Bench, invoice: Invoice) -> None:
    bench.wait_until(lambda: bench.held(invoice) == 2)


def _until_over(bench: Bench, invoice: Invoice) -> None:
    bench.wait_until(lambda: "pending" not in json.dumps(_sent(bench, invoice.payment_hash)))


def _sent(bench: Bench, payment_hash: str) -> dict[str, Any]:
    return bench.call("listsendpays", {"payment_hash": payment_hash}).ok()


def _datastore(talk: Conversation) -> None:
    key = ["answers", "a"]
    talk.ask("datastore", {"key": key, "string": "one"}, "created")
    talk.ask("datastore", {"key": key, "string": "one"}, "is there")
    talk.ask("datastore", {"key": key, "string": "two", "mode": "must-replace"}, "replaced")
    talk.ask("datastore", {"key": key, "hex": "00ff", "mode": "create-or-replace"}, "binary")
    talk.ask("datastore", {"key": key, "string": "x", "mode": "must-append"}, "appended")
    talk.ask("datastore", {"key": key, "string": "x", "mode": "must-replace", "generation": 77}, "generation")
    talk.ask("datastore", {"key": [*key, "below"], "string": "x"}, "below data")
    talk.ask("datastore", {"key": ["answers"], "string": "x"}, "above data")
    talk.ask("datastore", {"key": ["answers", "b"], "string": "x", "mode": "must-replace"}, "is not there")
    talk.ask("datastore", {"key": key, "string": "x", "mode": "nonsense"}, "bad mode")
    talk.ask("datastore", {"key": key, "string": "x", "hex": "00"}, "both kinds")
    talk.ask("datastore", {"key": key}, "no data")
    talk.ask("datastore", {"key": [], "string": "x"}, "empty key")
    talk.ask("datastore", {"key": "plain", "string": "x"}, "one word")
    talk.ask("listdatastore", {"key": key}, "by key")
    talk.ask("listdatastore", {"key": ["answers"]}, "above")
    talk.ask("listdatastore", {"key": ["nobody"]}, "unknown")
    talk.ask("deldatastore", {"key": key, "generation": 77}, "generation")
    talk.ask("deldatastore", {"key": key})
    talk.ask("deldatastore", {"key": key}, "is not there")
    talk.ask("deldatastore", {"key": ["answers"]}, "above")
    talk.ask("deldatastore", {"key": "plain"}, "one word")


def _configuration(talk: Conversation) -> None:
    for name in ("xpay-handle-pay", "alias", "network", "lightning-dir", "developer"):
        talk.ask("listconfigs", {"config": name}, name)
    talk.ask("listconfigs", {"config": "nonsense"}, "unknown")
    talk.ask("setconfig", {"config": "xpay-handle-pay", "val": False, "transient": True}, "switched off")
    talk.ask("listconfigs", {"config": "xpay-handle-pay"}, "switched off")
    talk.ask("setconfig", {"config": "xpay-handle-pay", "val": True, "transient": True}, "switched on")
    talk.ask("setconfig", {"config": "xpay-handle-pay", "val": "nonsense", "transient": True}, "bad value")
    talk.ask("setconfig", {"config": "nonsense", "val": True}, "unknown")
    talk.ask("setconfig", {"config": "network", "val": "x"}, "not dynamic")
    talk.ask("setconfig", {"val": "x"}, "no name")


def _plugins(talk: Conversation) -> None:
    talk.ask("plugin", {"subcommand": "list"}, "list")
    talk.ask("plugin", {"subcommand": "stop", "plugin": "nobody.py"}, "stop unknown")
    talk.ask("plugin", {"subcommand": "start", "plugin": "/nowhere/nobody.py"}, "start unknown")
    talk.ask("plugin", {"subcommand": "stop"}, "stop nothing")
    talk.ask("plugin", {"subcommand": "nonsense"}, "nonsense")
    talk.ask("plugin", {}, "nothing")
    talk.ask("plugin", {"subcommand": "stop", "plugin": "witness.py"}, "stop")
    talk.ask("hold", {"payment_hash": "11" * 32}, "without its plugin")
    witness = str(WITNESS)
    talk.ask("plugin", {"subcommand": "start", "plugin": witness}, "start")
    talk.ask("plugin", {"subcommand": "start", "plugin": witness}, "start again")


def _mistakes(talk: Conversation) -> None:
    talk.ask("nonsense")
    talk.ask("getinfo", {"nonsense": 1}, "unknown parameter")
    talk.ask("getinfo", [1], "too many")
    talk.ask("decode", [_written(), "b"], "too many")
    talk.ask("decode", [None], "null")
    talk.ask("check", {"command_to_check": "decode", "string": _written()}, "well")
    talk.ask("check", {"command_to_check": "decode", "string": "x"}, "badly")
    talk.ask("check", {"command_to_check": "decode"}, "missing parameter")
    talk.ask("check", ["decode", _written()], "by position")
    talk.ask("check", {"command_to_check": "nonsense"}, "unknown command")
    talk.ask("check", {}, "nothing")
    talk.ask(
        "check",
        {"command_to_check": "sendpay", "route": [], "payment_hash": "11" * 32, "amount_msat": 1},
        "sendpay well",
    )
    talk.ask("check", {"command_to_check": "sendpay", "route": [], "payment_hash": "11" * 32}, "sendpay badly")
    talk.ask("check", {"command_to_check": "hold", "payment_hash": "x"}, "a plugin's command")
