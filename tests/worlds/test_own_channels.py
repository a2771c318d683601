"""Our own channels: known for certain, but for what the peer does not tell."""

from __future__ import annotations

from tests.support.worlds.town import AMOUNT, SAT, Town


def fork() -> Town:
    """Two ways.

    us ──── A ──100── D
     └───── B ──200── D
    """
    return Town("us-A", ("A-D", 100), "us-B", ("B-D", 200))


def test_a_direct_channel_costs_nothing():
    """
    us ──── D          No node between, no fee, no delay but the recipient's own.
    """
    town = Town("us-D")
    story = town.pay()
    assert (story.lines, story.fee_msat) == (["us>D paid"], 0)
    assert story.parts[0].route.delay_blocks == 18 and story.ended_s == 1.0


def test_an_empty_channel_of_ours_is_never_tried():
    """
    us ─×── A ──100── D     We know that us-A is empty: one part, over B.
     └───── B ──200── D
    """
    town = fork()
    town.drain("us-A")
    assert town.pay().lines == ["us>B>D paid"]


def test_the_reserve_is_not_ours_to_spend():
    """
    us ──── D          105,000 sat are on our side and 10,000 of them stay there: 95,001 sat cannot be paid.
    """
    town = Town()
    town.join("us-D", has=105_000 * SAT)
    story = town.pay(95_001 * SAT)
    assert (story.lines, story.code, story.reason) == ([], 205, "insufficient_spendable")
    assert town.pay(95_000 * SAT).lines == ["us>D paid"]


def test_an_empty_direct_channel_and_a_way_round():
    """
    us ──×───────── D
     └───── A ──100── D
    """
    town = Town("us-D", "us-A", ("A-D", 100))
    town.drain("us-D")
    assert town.pay().lines == ["us>A>D paid"]


def test_a_peer_that_takes_no_more_htlcs():
    """
    us ──── A ──100── D     A's limit for our HTLCs is reached. That limit is not reported to us; the refusal comes
     └───── B ──200── D     from our own node and costs no time on the network.
    """
    town = fork()
    channel = town.channels["us-A"]
    channel.htlc_limits[channel.side(town.id("us"))] = 0
    story = town.pay()
    assert story.lines[0].startswith("us>A>D not sent: ") and "Too many HTLCs" in story.lines[0]
    assert story.lines[1:] == ["us>B>D paid"]
    assert story.parts[1].sent_s == 0.0


def test_slots_that_we_know_to_be_taken():
    """
    us ──── A ──100── D     The limit that is reported is reached: us-A is not tried.
     └───── B ──200── D
    """
    town = fork()
    channel = town.channels["us-A"]
    channel.htlc_limits[:] = [0, 0]
    assert town.pay().lines == ["us>B>D paid"]


def test_a_peer_that_is_away():
    """
    us ─╱   A ──100── D
     └───── B ──200── D
    """
    town = fork()
    town.faults("A", offline=True)
    assert town.pay().lines == ["us>B>D paid"]


def test_all_peers_are_away():
    """
    us ─╱   A ──100── D     Nothing can be sent, and the answer says that it is ours to mend.
    """
    town = Town("us-A", ("A-D", 100))
    town.faults("A", offline=True)
    story = town.pay()
    assert (story.lines, story.code, story.reason) == ([], 205, "no_own_channels")


def test_the_recipient_is_our_peer_and_away():
    """
    us ┄╱   D              Gossip knows nothing of D; we do.
     └───── B ──200── C
    """
    town = Town("us-B", ("B-C", 200))
    town.join("us-D", announced=False)
    town.faults("D", offline=True)
    story = town.pay()
    assert (story.lines, story.code, story.reason) == ([], 205, "own_channel")


def test_a_peer_that_leaves_between_plan_and_part():
    """
    us ─╱── A ──100── D     A goes away after the plan was made: lightningd refuses the part before there is an
     └───── B ──200── D     HTLC, and the next goes over B at once.
    """
    town = fork()
    planned = town.sender.planner

    def and_then_it_leaves(*question):
        answer = planned(*question)
        town.faults("A", offline=True)
        return answer

    town.sender.planner = and_then_it_leaves
    story = town.pay()
    assert "First peer not ready" in story.lines[0] and story.lines[1:] == ["us>B>D paid"]
    assert [part.sent_s for part in story.parts] == [0.0, 0.0]


def test_of_two_channels_to_one_peer_the_smaller_that_does():
    """
    us ════ A ──100── D     150,000 and 1,000,000 sat to A: 100,000 sat leave the large one as it is; the next
                            100,000 no longer fit into the small one.
    """
    town = Town("us-A", ("A-D", 100))
    town.join("us-A", capacity=200_000 * SAT, has=152_000 * SAT)
    assert town.over(town.pay()) == ["us-A' A-D"]
    assert town.over(town.pay()) == ["us-A A-D"]


def test_an_unannounced_channel_of_ours_goes_by_its_alias():
    """
    us ┄┄┄┄ A ──100── D
    """
    town = Town(("A-D", 100))
    private = town.join("us-A", announced=False)
    story = town.pay()
    assert story.lines == ["us>A>D paid"]
    assert story.parts[0].route.hops[0].scid == private.name_for(town.id("us")) != private.scid


def test_money_that_came_in_can_be_spent():
    """
    us ──×─ A ──── D     us-A is empty until D has paid us through it.
    """
    town = Town("us-A", "A-D")
    town.drain("us-A")
    assert town.pay().code == 205
    town.drain("us-A", left=AMOUNT + 10_000 * SAT)
    assert town.pay().lines == ["us>A>D paid"]
