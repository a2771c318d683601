"""docs/architecture.md draws the states as the table has them."""

from pay.payment.diagram import mermaid
from pay.payment.states import State
from tests.support.checkout import ROOT

ARCHITECTURE = ROOT / "docs" / "architecture.md"


def test_the_document_shows_the_table() -> None:
    """After a change of the table: paste what `mermaid()` gives."""
    assert mermaid() in ARCHITECTURE.read_text(encoding="utf-8")


def test_every_state_is_drawn_and_done_is_the_end() -> None:
    drawn = mermaid()
    assert all(state.value in drawn for state in State)
    assert f"    {State.DONE.value} --> [*]" in drawn
    assert f"    {State.DONE.value} --> {State.DONE.value}" not in drawn
    assert "    done --> waiting" not in drawn
