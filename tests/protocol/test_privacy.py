"""What docs/privacy.md says of the log: no secret of a payment is in it, nor what it was for."""

from __future__ import annotations

import json
from pathlib import Path

from pay.sim.network.encoding.failures import FailCode
from tests.support.box.host import TEMPORARY_CHANNEL_FAILURE, Host, hosting
from tests.support.box.restarts import OPTIONS, kill_plugin, start_plugin

LABEL, PURPOSE = "a-label-of-ours", "what-it-is-for"
DEBUG = {**OPTIONS, "options": {**OPTIONS["options"], "log-level": "debug"}}


def ours(host: Host, mark: int) -> list[str]:
    """What the plugin has logged, at any level."""
    return [line.text for line in list(host.node.lines)[mark:] if line.source == "plugin-plugin.py"]


def test_the_log_has_no_secrets(tmp_path: Path) -> None:
    """Paid, joined, tried again, refused, wrong, and taken up after a restart: all of it at debug."""
    with hosting(tmp_path, **DEBUG) as host:
        mark = host.log_mark()
        words = {"label": LABEL, "description": PURPOSE}
        made = [host.invoice(description=PURPOSE, hold=hold) for hold in (False, False, True, False)]
        paid, refused, held, slow = made
        with host.misbehaving("hub", fail_code=TEMPORARY_CHANNEL_FAILURE):
            host.pay(paid, **words).ok()
        host.cancel(refused)
        assert host.pay(refused, **words).code == 203
        assert host.pay(paid, **words, amount_msat=5).code == -32602
        with host.misbehaving("far", fail_code=FailCode.TEMPORARY_NODE_FAILURE):
            assert host.pay(slow, **words, retry_for=0).code == 210
        host.pay_held(held, **words)
        host.pay_soon(held, **words)
        host.log("payment_attached", mark)
        kill_plugin(host)
        start_plugin(host)
        host.release(held)
        host.pay(held, **words).ok()
        lines = ours(host, mark)
        said = json.dumps(lines, ensure_ascii=False)
        assert all(one.payment_hash.hex() in said for one in made)
        assert {"sendpay", "event"} <= {line.split()[0] for line in lines}
        for one in made:
            assert one.payment_secret is not None
            for secret in (one.preimage.hex(), one.payment_secret.hex(), one.bolt11, LABEL, PURPOSE):
                assert secret not in said
