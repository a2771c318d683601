"""The planner: a query in, routes or the reason why there are none out.

The value types are imported at once and need only the standard library; `plan`, `check` and
`explain` bring numpy and SciPy with them and are imported when first used, because the plugin
answers the host's first questions before it can afford that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pay.routing.preferences import Preferences
from pay.routing.query import Hop, NoRoute, NoRouteReason, Route, RouteQuery

if TYPE_CHECKING:
    from pay.routing.planner import explain, plan
    from pay.routing.verify import PlanError, check

__all__ = [
    "Hop",
    "NoRoute",
    "NoRouteReason",
    "PlanError",
    "Preferences",
    "Route",
    "RouteQuery",
    "check",
    "explain",
    "plan",
]

_LAZY = {"PlanError": "verify", "check": "verify", "explain": "planner", "plan": "planner"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    # Kept, so that this is asked once and not by each plan that imports the name.
    value = globals()[name] = getattr(import_module(f"pay.routing.{_LAZY[name]}"), name)
    return value
