"""The caller's limits: fee, delay, time, exclusions."""

from __future__ import annotations

from decimal import Decimal

from pay.commands.form.errors import error_data
from pay.sim.network.encoding.failures import FailCode
from tests.support.worlds.town import AMOUNT, EMPTY, SAT, Town


def fork() -> Town:
    """Two ways.

    us ──── A ──100── D
     └───── B ──200── D
    """
    return Town("us-A", ("A-D", 100), "us-B", ("B-D", 200))


def test_a_way_that_costs_too_much_is_not_tried():
    """
    us ── A ──6000── D     600 sat, and half a percent of 100,000 is 500: nothing is sent, and the answer says what
                           the cheapest way costs. With one percent allowed it is paid.
    """
    town = Town("us-A", ("A-D", 6000))
    story = town.pay()
    assert (story.lines, story.code, story.reason) == ([], 206, "too_expensive")
    assert error_data(story.result.error)["fee"] == 600 * SAT
    assert error_data(story.result.error)["feepercent"] == 0.6
    assert town.pay(maxfeepercent=Decimal(1)).lines == ["us>A>D paid"]


def test_a_small_fee_is_never_too_much():
    """
    us ── A ──6000── D     6 sat for 1,000: 0.6 %, more than allowed; 4.8 sat for 800 are below the 5 sat that are
                           exempt.
    """
    town = Town("us-A", ("A-D", 6000))
    assert town.pay(1_000 * SAT).code == 206
    assert town.pay(800 * SAT).lines == ["us>A>D paid"]


def test_the_budget_counts_for_the_second_part_too():
    """
    us ──── A ──100─× D     15 sat are allowed: A takes 10 and fails, B would take 20.
     └───── B ──200── D
    """
    town = fork()
    town.drain("A-D")
    story = town.pay(maxfee_msat=15 * SAT)
    assert story.lines == [f"us>A>D A: {EMPTY}"]
    assert (story.code, story.reason) == (206, "too_expensive")
    assert "20 sat" in story.words and "15000msat" in story.words


def test_a_fee_exactly_as_allowed():
    """
    us ──── A ──100── D     10 sat are allowed and taken.
    """
    town = fork()
    story = town.pay(maxfee_msat=10 * SAT)
    assert (story.lines, story.fee_msat) == (["us>A>D paid"], 10 * SAT)


def test_a_fee_that_grew_beyond_the_limit():
    """
    us ──── A ──100── D     A asks 6,000 ppm by now, more than half a percent: it is not paid.
    """
    town = Town("us-A", ("A-D", 100))
    town.now_asks("A-D", fee_ppm=6000)
    story = town.pay()
    assert story.lines == ["us>A>D A: the fee was below what the channel asks now"]
    assert story.code == 206


def test_maxdelay_chooses_the_dearer_way():
    """
    us ── A ──100── D     A wants 144 blocks, B 14; with the recipient's 18 only B's way is within 100.
     └─── B ──200── D
    """
    town = Town("us-A", "us-B", ("B-D", 200))
    town.join("A-D", 100, cltv_delta=144)
    town.now_asks("B-D", cltv_delta=14, gossip=True)
    story = town.pay(maxdelay=100)
    assert story.lines == ["us>B>D paid"] and story.parts[0].route.delay_blocks == 32


def test_no_way_is_quick_enough():
    """
    us ── A ──100── D     40 blocks and the recipient's 18 are more than 50.
    """
    town = Town("us-A", ("A-D", 100))
    story = town.pay(maxdelay=50)
    assert (story.lines, story.code, story.reason) == ([], 206, "too_long")
    assert error_data(story.result.error)["delay"] == 58
    assert town.pay(maxdelay=58).lines == ["us>A>D paid"]


def test_locked_time_has_a_price():
    """
    us ── A ──100── D     A is 10 sat cheaper and locks 144 blocks more than B. At ten percent a year that is worth
     └─── B ──200── D     27 sat; at one percent, 3.
    """
    town = Town("us-A", "us-B", ("B-D", 200))
    town.join("A-D", 100, cltv_delta=184)
    assert town.pay().lines == ["us>B>D paid"]
    assert town.pay(riskfactor=1.0).lines == ["us>A>D paid"]


def test_retry_for_ends_attempts_and_not_the_waiting():
    """
    us ──── A ──100── D     A sits on the part for 90 s, then fails it. After 60 s nothing new may be sent; until
     └───── B ──200── D     the part has come back there is no answer either, as it might still be paid.
    """
    town = fork()
    town.faults("A", silent=True)
    town.later(90.0, lambda: town.faults("A", fail_code=FailCode.TEMPORARY_NODE_FAILURE))
    story = town.pay()
    assert story.lines == ["us>A>D A: the node failed for now"]
    assert story.code == 210 and 90.0 < story.ended_s < 91.0


def test_a_part_that_comes_through_after_retry_for_is_a_success():
    """
    us ──── A ──100── D     The same, but A goes on with it after 90 s.
     └───── B ──200── D
    """
    town = fork()
    town.faults("A", silent=True)
    town.later(90.0, lambda: town.behave("A"))
    story = town.pay()
    assert story.lines == ["us>A>D paid"] and story.ended_s > 90.0


def test_failures_in_time_are_retried_up_to_the_limit():
    """
    us ──── A ──100── D     A takes 50 s to fail; there are 10 s left, and B makes it.
     └───── B ──200── D
    """
    town = fork()
    town.drain("A-D")
    town.faults("A", delay_s=50.0)
    story = town.pay()
    assert story.lines == [f"us>A>D A: {EMPTY}", "us>B>D paid"]
    assert story.parts[1].sent_s == 51.0


def test_no_time_at_all_is_one_attempt():
    """
    us ──── A ──100─× D     retry_for 0: the first part is made all the same, the second is not.
     └───── B ──200── D
    """
    town = fork()
    town.drain("A-D")
    story = town.pay(retry_for_s=0.0)
    assert (story.lines, story.code) == ([f"us>A>D A: {EMPTY}"], 210)


def test_an_invoice_that_expires_between_two_parts():
    """
    us ──── A ──100── D     The invoice is good for 30 s; A fails after 40.
     └───── B ──200── D
    """
    town = fork()
    town.drain("A-D")
    town.faults("A", delay_s=40.0)
    story = town.pay(invoice={"expiry": 30})
    assert story.lines == [f"us>A>D A: {EMPTY}"] and story.code == 207


def test_an_excluded_channel():
    """
    us ──── A ──100── D     A-D is excluded by the caller.
     └───── B ──200── D
    """
    town = fork()
    assert town.pay(exclude_channels=frozenset({town.named("A-D")})).lines == ["us>B>D paid"]


def test_an_excluded_node():
    """
    us ── A ──100── B ──100── D     B is excluded by the caller: the long way round.
          └──500─── C ──500── D
    """
    town = Town("us-A", ("A-B", 100), ("B-D", 100), ("A-C", 500), ("C-D", 500))
    assert town.pay(exclude_nodes=frozenset({town.id("B")})).lines == ["us>A>C>D paid"]


def test_an_excluded_channel_of_ours_by_its_real_scid():
    """
    us ┄┄┄┄ A ──100── D     Routes name us-A by its alias; the caller may name it by either.
     └───── B ──200── D
    """
    town = Town(("A-D", 100), "us-B", ("B-D", 200))
    town.join("us-A", announced=False)
    assert town.pay(exclude_channels=frozenset({town.named("us-A")})).lines == ["us>B>D paid"]


def test_all_excluded():
    """
    us ──── A ──100── D     The only way is excluded, and the answer says that this is why.
    """
    town = Town("us-A", ("A-D", 100))
    story = town.pay(exclude_nodes=frozenset({town.id("A")}))
    assert (story.lines, story.code, story.reason) == ([], 205, "excluded")


def test_more_than_all_we_have():
    """
    us ──── A ──100── D     A million sat in the channel, of which 990,000 can be sent.
    """
    town = Town("us-A", ("A-D", 100))
    story = town.pay(20 * AMOUNT)
    assert (story.lines, story.code, story.reason) == ([], 205, "insufficient_spendable")
