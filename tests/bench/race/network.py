"""One hub's network: bitcoind, our node, and the hub that it has its only channel with.

    payer ── hub ── (a recorded network that only channeld_fakenet plays)

Both are real lightningds. In place of the payer's channeld runs `channeld_fakenet`: it takes each HTLC off the
payer's hands, peels the onion with the keys of every node on the way, and forwards, refuses or settles as these
would. A channel's balance is drawn uniformly from its capacity by `seed` and never moves; HTLCs that are out take
their room. Each hop takes 10 to 99 ms, small ones more often, drawn from the same seed: there is no other knob for
its latency. A failure is back at once. Parts that wait for the rest are refused after 60 seconds (mpp_timeout).

The hub's lightningd stays connected and does nothing. Gossip does not travel between the two.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.bench.race.snapshot import HUB_SECRET
from tests.bench.race.tree import Tree
from tests.support.rawrpc import Answer, RawRpc

CAPACITY_SAT = 2_000_000_000
"""Of our own channel: never what stands in the way."""

PATIENCE_S = 120
ANSWER_S = 600
IDLE_PLUGINS = (
    "bookkeeper", "cln-bip353", "cln-currencyrate", "cln-grpc", "cln-lsps-client", "cln-lsps-service", "clnrest",
    "wss-proxy",
)  # fmt: skip
"""Not needed by any payment; a hub starts faster without them."""


class Failed(Exception):
    """A process ended or did not do in time what it should."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How a hub's network is played.

    Parameters
    ----------
    seed
        Of balances and latencies (CHANNELD_FAKENET_SEED).
    max_htlcs
        At the same time in our own channel; lightningd's default is 30.
    """

    seed: int
    max_htlcs: int


@dataclass(frozen=True, slots=True)
class Node:
    """A running lightningd."""

    directory: Path
    process: subprocess.Popen[bytes]
    rpc: RawRpc
    port: int

    def call(self, method: str, /, **params: Any) -> dict[str, Any]:
        """Result of a call that must succeed."""
        answer = self.ask(method, **params)
        if answer.error is not None:
            raise Failed(f"{method}: {answer.error.get('message')}")
        return answer.ok()

    def ask(self, method: str, /, **params: Any) -> Answer:
        """The answer, whatever it is."""
        return self.rpc.call(method, params)


@dataclass
class Network:
    """Everything that runs for one hub; `start` makes it, `kill` ends it.

    Parameters
    ----------
    store
        gossip_store in which the hub is a node.
    """

    tree: Tree
    directory: Path
    store: Path
    ways: Ways
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _logs: list[IO[bytes]] = field(default_factory=list)
    _killed: bool = False

    def start(self) -> Node:
        """The payer, with its channel to the hub open."""
        self._start_bitcoind()
        hub = self._start_lightningd("hub", {"dev-force-privkey": HUB_SECRET.hex()}, {})
        payer_options = {"subdaemon": f"channeld:{self.tree.fakenet}"}
        target = self.directory / "payer" / "regtest"
        target.mkdir(parents=True)
        shutil.copy(self.store, target / "gossip_store")
        payer = self._start_lightningd("payer", payer_options, {"CHANNELD_FAKENET_SEED": str(self.ways.seed)})
        self._open_channel(payer, hub)
        return payer

    def kill(self) -> None:
        """End all processes, with what they have started; safe at any time and from any thread."""
        self._killed = True
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for log in self._logs:
            log.close()

    def _run(self, name: str, command: list[str], more_environment: dict[str, str]) -> subprocess.Popen[bytes]:
        log = (self.directory / f"{name}.out").open("wb")
        self._logs.append(log)
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            env={**os.environ, **more_environment}, start_new_session=True,
        )  # fmt: skip
        self._processes.append(process)
        if self._killed:
            self.kill()
            raise Failed("stopped")
        return process

    def _start_bitcoind(self) -> None:
        data = self.directory / "bitcoind"
        data.mkdir(parents=True)
        self._bitcoin_port = free_port()
        self._run(
            "bitcoind",
            ["bitcoind", "-regtest", f"-datadir={data}", "-listen=0", "-server", "-fallbackfee=0.00001",
             f"-rpcport={self._bitcoin_port}", "-rpcuser=race", "-rpcpassword=race", "-txindex=0", "-dbcache=16"],
            {},
        )  # fmt: skip
        wait_until(lambda: self._try_bitcoin("getblockchaininfo"), "bitcoind answers", self._processes[-1])
        self._bitcoin("createwallet", "race")
        self._bitcoin("-generate", "110")

    def _try_bitcoin(self, *arguments: str) -> bool:
        with contextlib.suppress(Failed):
            self._bitcoin(*arguments)
            return True
        return False

    def _bitcoin(self, *arguments: str) -> str:
        done = subprocess.run(
            ["bitcoin-cli", "-regtest", f"-datadir={self.directory / 'bitcoind'}", "-rpcuser=race",
             "-rpcpassword=race", f"-rpcport={self._bitcoin_port}", *arguments],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False, start_new_session=True,
        )  # fmt: skip
        if done.returncode:
            raise Failed(f"bitcoin-cli {arguments[0]}: {done.stderr.strip()}")
        return done.stdout.strip()

    def _start_lightningd(self, name: str, options: dict[str, str], more_environment: dict[str, str]) -> Node:
        home = self.directory / name
        home.mkdir(parents=True, exist_ok=True)
        port = free_port()
        settings = {
            "network": "regtest", "lightning-dir": str(home), "addr": f"127.0.0.1:{port}",
            "bitcoin-rpcport": str(self._bitcoin_port), "bitcoin-rpcuser": "race", "bitcoin-rpcpassword": "race",
            "bitcoin-datadir": str(self.directory / "bitcoind"), "log-level": "info",
            "log-file": str(home / "log"), "force-feerates": "1000", "ignore-fee-limits": "true",
            "max-concurrent-htlcs": str(self.ways.max_htlcs), "dev-bitcoind-poll": "1", "funding-confirms": "1",
            "allow-deprecated-apis": "true", "xpay-handle-pay": "false", **options,
        }  # fmt: skip
        idle = [f"--disable-plugin={plugin}" for plugin in IDLE_PLUGINS]
        flags = [f"--{option}={value}" for option, value in settings.items()]
        process = self._run(
            name, ["lightningd", "--developer", "--dev-fast-gossip", *idle, *flags], more_environment
        )
        node = Node(home, process, RawRpc(home / "regtest" / "lightning-rpc", timeout_s=ANSWER_S), port)
        wait_until(lambda: _answers(node), f"{name} answers", process)
        return node

    def _open_channel(self, payer: Node, hub: Node) -> None:
        for node in (payer, hub):
            node.call("dev-suppress-gossip")
        hub_id = hub.call("getinfo")["id"]
        us = payer.call("getinfo")["id"]
        address = payer.call("newaddr", addresstype="bech32")["bech32"]
        self._bitcoin("sendtoaddress", address, f"{CAPACITY_SAT / 10**8 + 1:.8f}")
        self._bitcoin("-generate", "1")
        wait_until(lambda: bool(payer.call("listfunds")["outputs"]), "our node has its money", payer.process)
        payer.call("connect", id=hub_id, host="127.0.0.1", port=hub.port)
        payer.call("fundchannel", id=hub_id, amount=CAPACITY_SAT, announce=False)
        empty = "[\n]"
        wait_until(lambda: self._bitcoin("getrawmempool") != empty, "the funding is sent", payer.process)
        self._bitcoin("-generate", "1")
        wait_until(lambda: channel_state(payer) == "CHANNELD_NORMAL", "the channel is open", payer.process)
        # channeld_fakenet revokes in the hub's name, and needs the hub's secrets of this channel for that.
        secrets = subprocess.run(
            ["lightning-hsmtool", "dumpcommitments", us, "1", "0", hub.directory / "regtest" / "hsm_secret"],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True, timeout=PATIENCE_S,
        )  # fmt: skip
        payer.call("dev-peer-shachain", id=hub_id, seed=secrets.stdout.strip().partition(": ")[2])


def channel_state(payer: Node) -> str:
    """Of the payer's only channel; empty where it has none, or its peer is away."""
    channels = payer.call("listpeerchannels")["channels"]
    return str(channels[0]["state"]) if channels and channels[0]["peer_connected"] else ""


def free_port() -> int:
    """One that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str, process: subprocess.Popen[bytes]) -> None:
    """Look again and again.

    Raises
    ------
    Failed
        It took too long, or the process has ended.
    """
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if process.poll() is not None:
            raise Failed(f"waiting until {what}: the process has ended with {process.returncode}")
        if time.monotonic() > end:
            raise Failed(f"{PATIENCE_S} s have passed until {what}")
        time.sleep(0.1)


def _answers(node: Node) -> bool:
    try:
        return node.ask("getinfo").error is None
    except OSError:
        return False
