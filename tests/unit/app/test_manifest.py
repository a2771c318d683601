"""The manifest, for every release of the host and every way in."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.support.checkout import PLUGIN
from tests.support.manifest import ask

HOOKED = {"pay", "paystatus", "xpay", "listpays", "help"}


def manifest(release: str, way: str) -> dict[str, Any]:
    (answer,) = ask([sys.executable, str(PLUGIN)], LIGHTNINGD_VERSION=release, CLNPAY_ENTRY=way)
    result: dict[str, Any] = answer["result"]
    return result


@pytest.mark.parametrize("way", ["own", "hook"])
@pytest.mark.parametrize(
    "release", ["v24.11.2", "v25.02.2", "v25.09.3", "v25.12.1", "v26.04.2", "v26.06.6", "v27.03"]
)
def test_no_hook_is_asked_of_a_method_of_ours(release: str, way: str) -> None:
    """A node ends where a plugin ends that has the method of a call at the hook. Nor is it asked of `check`, where
    a caller that goes away ends the node; nor of anything, before hooks had filters."""
    told = manifest(release, way)
    methods = {method["name"] for method in told["rpcmethods"]}
    filters = {name for hook in told["hooks"] for name in hook["filters"]}
    assert methods.isdisjoint(filters)
    assert filters <= HOOKED
    assert all(hook["before"] == ["cln-xpay"] for hook in told["hooks"])
    assert bool(told["hooks"]) == (release >= "v25.12")
    # Each of them leads to a method that is there.
    assert {f"clnpay-{name}" for name in filters} <= methods


@pytest.mark.parametrize("release", ["v25.12.1", "v26.06.6", "v27.03"])
def test_in_hook_mode_nothing_of_the_builtins_is_registered(release: str) -> None:
    """A name or an option that is taken costs us or the node its start."""
    told = manifest(release, "hook")
    assert {method["name"] for method in told["rpcmethods"]}.isdisjoint(HOOKED)
    assert "disable-mpp" not in {option["name"] for option in told["options"]}
    assert {name for hook in told["hooks"] for name in hook["filters"]} == HOOKED
