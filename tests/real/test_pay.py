"""`pay` by the plugin on a real lightningd: what is paid, what is not, how it is asked."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from typing import Any

import pytest

from pay.host.version import INVSTRING_SINCE
from pay.sim.network.encoding.bolt11 import Bolt11, encode
from tests.real.support.paying import INVALID, SUCCESS, invoice, pay, received, rows
from tests.real.support.release import host
from tests.real.support.shop import WITH_PLUGIN, Shop
from tests.support.waiting import PATIENCE_S

# What is paid


def test_a_direct_peer(shop: Shop) -> None:
    """payer ── hub: nothing to pay on the way; exactly the documented fields."""
    made = invoice(shop.line.hub)
    before_s = int(time.time())
    result = pay(shop.payer, made["bolt11"]).ok()
    assert result.keys() == SUCCESS
    assert hashlib.sha256(bytes.fromhex(result["payment_preimage"])).hexdigest() == made["payment_hash"]
    assert before_s <= result["created_at"] <= time.time()
    assert {key: result[key] for key in SUCCESS - {"payment_preimage", "created_at"}} == {
        "destination": shop.line.hub.id, "payment_hash": made["payment_hash"], "parts": 1, "status": "complete",
        "amount_msat": 100_000, "amount_sent_msat": 100_000,
    }  # fmt: skip
    assert received(shop.line.hub, made) == 100_000


def test_three_hops(shop: Shop) -> None:
    """payer ── hub ── far ── end: two nodes ask 1 msat and 10 ppm each, of what they forward."""
    made = invoice(shop.line.end, 100_000_000)
    result = pay(shop.payer, made["bolt11"]).ok()
    far_fee_msat = 1 + 100_000_000 * 10 // 1_000_000
    hub_fee_msat = 1 + (100_000_000 + far_fee_msat) * 10 // 1_000_000
    least_msat = 100_000_000 + far_fee_msat + hub_fee_msat
    assert result["amount_msat"] == 100_000_000
    assert result["amount_sent_msat"] == least_msat
    assert received(shop.line.end, made) == 100_000_000


def test_an_invoice_without_amount(shop: Shop) -> None:
    made = invoice(shop.line.far, "any")
    missing = pay(shop.payer, made["bolt11"])
    assert missing.code == INVALID
    assert "amount_msat" in missing.error["message"]
    result = pay(shop.payer, bolt11=made["bolt11"], amount_msat="70sat").ok()
    assert result["amount_msat"] == 70_000
    assert received(shop.line.far, made) == 70_000


def test_an_amount_that_is_given_twice(shop: Shop) -> None:
    made = invoice(shop.line.hub)
    twice = pay(shop.payer, bolt11=made["bolt11"], amount_msat=100_000)
    assert twice.code == INVALID
    assert "amount_msat" in twice.error["message"]
    assert rows(shop.payer, made) == []


def test_label_and_description_are_in_the_lists(shop: Shop) -> None:
    """What readers of payments look for, in every list of the host."""
    made = invoice(shop.line.far)
    pay(shop.payer, bolt11=made["bolt11"], label="my label", description="my words").ok()
    (row,) = rows(shop.payer, made)
    (entry,) = shop.payer.call("listpays", payment_hash=made["payment_hash"])["pays"]
    for shown in (row, entry):
        assert shown["label"] == "my label"
        assert shown["description"] == "my words"
        assert shown["bolt11"] == made["bolt11"]
        assert shown["status"] == "complete"
    assert (row["groupid"], row["partid"]) == (1, 1)
    assert entry["preimage"] == row["payment_preimage"]


def test_a_description_hash(shop: Shop) -> None:
    """Wrong words are refused before anything is sent; the right ones pass, and so does silence."""
    words = "a long story"
    made, other = (invoice(shop.line.far, description=words, deschashonly=True) for _ in range(2))
    wrong = pay(shop.payer, bolt11=made["bolt11"], description="another story")
    assert wrong.code == INVALID
    assert "description" in wrong.error["message"]
    assert rows(shop.payer, made) == []
    pay(shop.payer, bolt11=made["bolt11"], description=words).ok()
    pay(shop.payer, bolt11=other["bolt11"]).ok()


def test_over_an_unannounced_channel(shop: Shop) -> None:
    """shy ┄┄ hub ── far: the first channel has but an alias to be named by."""
    made = invoice(shop.line.far)
    pay(shop.shy, made["bolt11"]).ok()
    assert received(shop.line.far, made) == 100_000


def test_to_an_unannounced_channel(shop: Shop) -> None:
    """payer ── hub ┄┄ shy: the last channel is known from the invoice's hint alone."""
    pay(shop.shy, invoice(shop.line.hub, 20_000_000)["bolt11"]).ok()
    made = invoice(shop.shy, 1_000_000)
    assert "routes" in shop.payer.call("decode", made["bolt11"])
    pay(shop.payer, made["bolt11"]).ok()
    assert received(shop.shy, made) == 1_000_000


def test_ourselves(shop: Shop) -> None:
    made = invoice(shop.payer)
    result = pay(shop.payer, made["bolt11"]).ok()
    assert (result["amount_sent_msat"], result["destination"]) == (100_000, shop.payer.id)
    assert pay(shop.payer, made["bolt11"]).ok() == result


def test_more_than_a_channel_holds(shop: Shop) -> None:
    """rich ┄┄ far and rich ┄┄ hub ── far, a million sat each: 1.3 million go in parts of one group."""
    line = shop.line
    (rich,) = line.regtest.start(WITH_PLUGIN)
    line.regtest.open_channels((rich, line.hub), announce=False)
    line.regtest.open_channels((rich, line.far), announce=False)
    line.regtest.wait_for_channels(rich, 4)
    made = invoice(line.far, 1_300_000_000)
    result = pay(rich, made["bolt11"]).ok()
    assert received(line.far, made) == result["amount_msat"] == 1_300_000_000
    # The first preimage is the success; the answer waited for the others, which take no time here.
    assert "warning_partial_completion" not in result
    assert all(row["status"] != "pending" for row in rows(rich, made))
    sent = [row for row in rows(rich, made) if row["status"] == "complete"]
    assert len(sent) >= 2
    assert {row["groupid"] for row in sent} == {1}
    assert sum(row["amount_msat"] for row in sent) == 1_300_000_000
    assert sum(row["amount_sent_msat"] for row in sent) == result["amount_sent_msat"]
    assert len({row["partid"] for row in sent}) == len(sent)
    assert all("bolt11" in row for row in sent)
    (entry,) = rich.call("listpays", payment_hash=made["payment_hash"])["pays"]
    assert entry["number_of_parts"] == len(sent)
    assert pay(rich, made["bolt11"]).ok() == result


# What is not


def test_an_expired_invoice(shop: Shop) -> None:
    text = encode(
        Bolt11(payment_hash=b"\x31" * 32, created_at=1_700_000_000, amount_msat=1000, description="old",
               payment_secret=b"\x32" * 32, currency="bcrt", expiry=60, min_final_cltv_expiry=10,
               features=1 << 8 | 1 << 14), bytes([9]) * 32)  # fmt: skip
    refused = pay(shop.payer, text)
    assert refused.code == 207
    assert refused.error["data"]["expiry"] == 1_700_000_060
    assert abs(refused.error["data"]["now"] - time.time()) < 60


def test_a_fee_above_the_limit(shop: Shop) -> None:
    """206 with the least fee and the limit in data."""
    made = invoice(shop.line.far, 100_000_000)
    refused = pay(shop.payer, bolt11=made["bolt11"], maxfee=1000)
    assert refused.code == 206
    assert refused.error["data"]["fee"] == 1001
    assert refused.error["data"]["feepercent"] == pytest.approx(0.001001)
    assert refused.error["data"]["maxfee_msat"] == 1000
    assert rows(shop.payer, made) == []
    assert pay(shop.payer, bolt11=made["bolt11"], maxfee=1001).ok()["amount_sent_msat"] == 100_001_001


def test_a_fee_above_the_percentage(shop: Shop) -> None:
    made = invoice(shop.line.far, 100_000_000)
    refused = pay(shop.payer, bolt11=made["bolt11"], maxfeepercent=0.001, exemptfee=0)
    assert (refused.code, refused.error["data"]["fee"]) == (206, 1001)
    pay(shop.payer, bolt11=made["bolt11"], maxfeepercent=0.0011, exemptfee=0).ok()


def test_a_delay_above_the_limit(shop: Shop) -> None:
    """The payee wants 5 blocks, the hub adds 6; one block less is refused, with the figure."""
    made = invoice(shop.line.far)
    final_blocks = shop.payer.call("decode", made["bolt11"])["min_final_cltv_expiry"]
    refused = pay(shop.payer, bolt11=made["bolt11"], maxdelay=final_blocks + 5)
    assert refused.code == 206
    assert refused.error["data"]["delay"] >= final_blocks + 6
    assert refused.error["data"]["maxdelay"] == final_blocks + 5
    enough = refused.error["data"]["delay"]
    pay(shop.payer, bolt11=made["bolt11"], maxdelay=enough).ok()


def test_the_only_channel_excluded(shop: Shop) -> None:
    made = invoice(shop.line.far)
    channel = shop.line.hub.channel_to(shop.line.far)
    scid_dir = f"{channel['short_channel_id']}/{channel['direction']}"
    for excluded in (scid_dir, shop.line.hub.id):
        refused = pay(shop.payer, bolt11=made["bolt11"], exclude=[excluded])
        assert refused.code == 205
        assert refused.error["data"]["reason"]
        assert rows(shop.payer, made) == []
    other_way = f"{channel['short_channel_id']}/{1 - channel['direction']}"
    pay(shop.payer, bolt11=made["bolt11"], exclude=[other_way]).ok()


def test_more_than_there_is(shop: Shop) -> None:
    made = invoice(shop.line.far, 5_000_000_000)
    refused = pay(shop.payer, made["bolt11"])
    assert refused.code == 205
    assert 0 < refused.error["data"]["max_sendable_msat"] < 1_000_000_000


@pytest.mark.parametrize(
    "named",
    [
        {"bolt11": "nonsense"}, {"maxfee": 1, "maxfeepercent": 1}, {"maxfee": 1, "exemptfee": 1}, {"maxfee": "x"},
        {"riskfactor": -1}, {"retry_for": "x"}, {"exclude": ["x"]}, {"nonsense": 1}, {"partial_msat": 200_000},
        {"localinvreqid": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_parameter(named: dict[str, Any], shop: Shop) -> None:
    """-32602, and the message names the parameter."""
    made = invoice(shop.line.hub)
    refused = pay(shop.payer, **{"bolt11": made["bolt11"], **named})
    assert refused.code == INVALID
    assert any(name in refused.error["message"] for name in named)
    assert rows(shop.payer, made) == []


def test_too_many_positional_parameters(shop: Shop) -> None:
    assert pay(shop.payer, *[None] * 14).code == INVALID


# How it is asked


def test_parameters_by_position(shop: Shop) -> None:
    """All thirteen, absent ones as null."""
    made = invoice(shop.line.far)
    pay(shop.payer, made["bolt11"], None, "positional", 10, None, 60, 100, None, None, [], 1000, "tea", None).ok()
    assert rows(shop.payer, made)[0]["label"] == "positional"


def test_parameters_by_name(shop: Shop) -> None:
    """`invstring` is the other name of `bolt11`; null means absent."""
    made = invoice(shop.line.far)
    pay(shop.payer, invstring=made["bolt11"], amount_msat=None, riskfactor="5", maxdelay="200").ok()


def test_the_command_line(shop: Shop) -> None:
    """lightning-cli, with positions and with -k; a script wants no lines of what is waited for."""

    def cli(*arguments: str) -> dict[str, Any]:
        directory = shop.payer.peer.daemon.lightning_dir
        command = ["lightning-cli", f"--lightning-dir={directory}", "--network=regtest", "-N", "none", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    assert cli("pay", invoice(shop.line.far)["bolt11"])["status"] == "complete"
    by_name = cli("-k", "pay", f"bolt11={invoice(shop.line.far)['bolt11']}", "maxfee=1sat", "label=cli")
    assert by_name["status"] == "complete"
    refused = cli("-k", "pay", f"bolt11={invoice(shop.line.far)['bolt11']}", "maxfee=0")
    assert refused["code"] == 206
    assert "fee" in refused["data"]


def test_help(shop: Shop) -> None:
    (entry,) = shop.payer.call("help", command="pay")["help"]
    leading = "invstring" if host().since(INVSTRING_SINCE) else "bolt11"
    assert entry["command"] == (
        f"pay {leading} [amount_msat] [label] [riskfactor] [maxfeepercent] [retry_for] [maxdelay] [exemptfee]"
        " [localinvreqid] [exclude] [maxfee] [description] [partial_msat] [dev_use_shadow]"
    )


def test_check(shop: Shop) -> None:
    """`check pay` says what `pay` would refuse, and sends nothing."""
    made = invoice(shop.line.far)
    checked = shop.payer.raw.call("check", {"command_to_check": "pay", "bolt11": made["bolt11"]})
    assert checked.ok() == {"command_to_check": "pay"}
    wrong = shop.payer.raw.call("check", {"command_to_check": "pay", "bolt11": made["bolt11"], "maxfee": "x"})
    assert wrong.code == INVALID
    assert shop.payer.raw.call("check", {"command_to_check": "pay", "bolt11": "nonsense"}).code == INVALID
    assert rows(shop.payer, made) == []
