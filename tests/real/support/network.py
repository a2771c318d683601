"""A regtest network of real nodes, shared by the tests of a session.

    host ── hub ── far ── end       host: lightningd alone, the thing to compare with
    payer ──┤                       payer: lightningd with plugin.py instead of the builtin pay
    shy ┄┄┄┄┘                       shy: the same, over an unannounced channel

Starting nodes and opening channels takes most of the time of these tests, so they share one network, each
with payments of its own; whoever stops, disconnects or empties something starts nodes of its own.
pyln-testing is imported here only, when the first test needs a node.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.plugins import WITNESS
from tests.support.rawrpc import RawRpc
from tests.support.schemas import check_answer
from tests.support.waiting import until

CAPACITY_SAT = 1_000_000


@dataclass(frozen=True, slots=True)
class Node:
    """A running node: pyln-testing's object, and a client that shows answers as they are.

    Parameters
    ----------
    ours
        It has our plugin: answers of its commands are as their schemas say.
    """

    peer: Any
    raw: RawRpc
    ours: bool = False

    @property
    def id(self) -> str:
        return self.peer.info["id"]

    @property
    def directory(self) -> Path:
        """Where lightningd keeps its files of this network, and plugins run."""
        return Path(self.peer.daemon.lightning_dir) / "regtest"

    def call(self, method: str, /, *positional: Any, **named: Any) -> dict[str, Any]:
        """Result of a call that must succeed."""
        params = list(positional) or named
        answer = self.raw.call(method, params)
        if self.ours:
            check_answer(method, params, answer)
        return answer.ok()

    def channel_to(self, other: Node) -> dict[str, Any]:
        """The one channel to this peer, as listpeerchannels shows it."""
        (channel,) = self.call("listpeerchannels", id=other.id)["channels"]
        return channel

    def channel_funded_by(self, txid: str) -> dict[str, Any]:
        """The channel of this funding transaction: there may be others to the same peer."""
        channels = self.call("listpeerchannels")["channels"]
        (channel,) = (channel for channel in channels if channel.get("funding_txid") == txid)
        return channel

    def notifications(self, topic: str, payment_hash: str) -> list[dict[str, Any]]:
        """What the witness wrote down about a payment: params of notifications of this topic, in their order."""
        file = self.directory / "notifications.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        messages = [json.loads(line) for line in lines]
        return [m["params"] for m in messages if m["method"] == topic and payment_hash in json.dumps(m)]


class Regtest:
    """bitcoind and the nodes on it."""

    def __init__(self, directory: Path):
        from pyln.testing.db import SqliteDbProvider
        from pyln.testing.utils import BitcoinD, LightningNode, NodeFactory

        self._executor = ThreadPoolExecutor(max_workers=20)
        self.bitcoind = BitcoinD(bitcoin_dir=str(directory))
        self.bitcoind.start()
        self.bitcoind.generate_block(101)
        self._factory = NodeFactory(
            None, "real", self.bitcoind, self._executor, directory=str(directory),
            db_provider=SqliteDbProvider(str(directory)), node_cls=LightningNode, jsonschemas={},
        )  # fmt: skip

    def start(self, *options: dict[str, Any]) -> list[Node]:
        """Start nodes side by side, one for every dict of options; all have the witness."""
        settings = [{"allow_warning": True, "may_reconnect": True, **_with_witness(o)} for o in options]
        peers = self._factory.get_nodes(len(settings), opts=settings)
        sockets = [Path(peer.daemon.lightning_dir) / "regtest" / "lightning-rpc" for peer in peers]
        ours = ["plugin.py" in str(each.get("plugin", "")) for each in options]
        return [Node(peer, RawRpc(socket), mine) for peer, socket, mine in zip(peers, sockets, ours, strict=True)]

    def open_channels(
        self, *pairs: tuple[Node, Node], announce: bool = True, capacity_sat: int = CAPACITY_SAT
    ) -> None:
        """A channel a pair, funded by the first of it; announced ones are known to everybody afterwards."""
        from pyln.testing.utils import sync_blockheight

        nodes = list({id(node): node for pair in pairs for node in pair}.values())
        for source, target in pairs:
            source.peer.connect(target.peer)
            address = source.call("newaddr", addresstype="bech32")["bech32"]
            self.bitcoind.rpc.sendtoaddress(address, (capacity_sat + 1_000_000) / 10**8)
        self.bitcoind.generate_block(1)
        sync_blockheight(self.bitcoind, [node.peer for node in nodes])
        funding = [
            source.call("fundchannel", id=target.id, amount=capacity_sat, announce=announce)["txid"]
            for source, target in pairs
        ]
        self.bitcoind.generate_block(6 if not announce else 1, wait_for_mempool=funding)
        opened = [(source, txid) for (source, _), txid in zip(pairs, funding, strict=True)]
        for source, txid in opened:
            _until_open(source, txid)
        if announce:
            sync_blockheight(self.bitcoind, [node.peer for node in nodes])
            self.bitcoind.generate_block(5)
            scids = {source.channel_funded_by(txid)["short_channel_id"] for source, txid in opened}
            for node in nodes:
                _until_announced(node, scids)
        sync_blockheight(self.bitcoind, [node.peer for node in nodes])

    def wait_for_channels(self, node: Node, count: int) -> None:
        """Until this node has heard of as many channels, in both directions."""
        until(lambda: len(_announced_both_ways(node)) >= count)

    def mine(self, blocks: int, *nodes: Node) -> None:
        """Mine, and wait until these nodes have seen it."""
        from pyln.testing.utils import sync_blockheight

        self.bitcoind.generate_block(blocks)
        sync_blockheight(self.bitcoind, [node.peer for node in nodes])

    def stop(self) -> None:
        """Stop everything that was started here."""
        list(self._executor.map(_stop, self._factory.nodes))
        self.bitcoind.stop()
        self._executor.shutdown(wait=False)

    def broken_lines(self) -> list[str]:
        """Log lines by which lightningd tells its operator of a bug, in it or in a plugin."""
        for peer in self._factory.nodes:
            peer.daemon.logs_catchup()
        return [
            line for peer in self._factory.nodes for line in peer.daemon.logs
            if "**BROKEN**" in line or "That's weird: " in line
        ]  # fmt: skip


def _stop(peer: Any) -> None:
    """As the operator would; a node that is dead already, or does not react, is killed."""
    try:
        peer.stop()
    except Exception:
        peer.daemon.kill()


def _with_witness(options: dict[str, Any]) -> dict[str, Any]:
    plugins = options.get("plugin", [])
    return {**options, "plugin": [*([plugins] if isinstance(plugins, str) else plugins), str(WITNESS)]}


def _until_open(source: Node, txid: str) -> None:
    until(lambda: source.channel_funded_by(txid)["state"] == "CHANNELD_NORMAL")


def _until_announced(node: Node, scids: set[str]) -> None:
    until(lambda: scids <= _announced_both_ways(node))


def _announced_both_ways(node: Node) -> set[str]:
    scids = [channel["short_channel_id"] for channel in node.call("listchannels")["channels"] if channel["active"]]
    return {scid for scid in scids if scids.count(scid) == 2}
