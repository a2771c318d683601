"""The diagram in docs/architecture.md, drawn from the table of transitions."""

from __future__ import annotations

from pay.payment.states import TRANSITIONS, State


def mermaid() -> str:
    """All transitions between different states; an arrow bears the events that can cause it."""
    arrows: dict[tuple[State, State], list[str]] = {}
    for (state, event), following in TRANSITIONS.items():
        for after in following:
            if after is not state:
                arrows.setdefault((state, after), []).append(event.__name__)
    order = list(State)
    lines = ["stateDiagram-v2", f"    [*] --> {State.WAITING_ROUTES.value}"]
    for state, after in sorted(arrows, key=lambda arrow: (order.index(arrow[0]), order.index(arrow[1]))):
        lines.append(f"    {state.value} --> {after.value}: {', '.join(sorted(arrows[state, after]))}")
    lines.append(f"    {State.DONE.value} --> [*]")
    return "\n".join(lines)
