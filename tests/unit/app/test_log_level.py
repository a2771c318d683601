"""From which level on our lines are made, as the host says."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from pay.app.log_level import host_level
from pay.host.calls import CallError
from tests.support.waiting import played

CASES = {
    "its usual one": ({"value_str": "info"}, logging.INFO),
    "only what is broken": ({"value_str": "BROKEN"}, logging.INFO),
    "all": ({"value_str": "debug"}, logging.DEBUG),
    "the wire too": ({"value_str": "io"}, logging.DEBUG),
    "of one plugin": ({"value_str": "debug:plugin-clnpay"}, logging.DEBUG),
    "several": ({"values_str": ["info", "debug:gossipd"]}, logging.DEBUG),
}


class Host:
    def __init__(self, told: Any):
        self._told = told

    async def patient(self, method: str, params: Any) -> Any:
        assert (method, params) == ("listconfigs", {"config": "log-level"})
        if isinstance(self._told, CallError):
            raise self._told
        return {"configs": {"log-level": self._told}}


@pytest.mark.parametrize("name", CASES)
def test_level(name: str) -> None:
    told, level = CASES[name]
    host: Any = Host(told)
    assert played(host_level(host)) == level


def test_a_host_without_the_option_is_told_everything() -> None:
    host: Any = Host(CallError("listconfigs", {"code": -32602, "message": "no such option"}))
    assert played(host_level(host)) == logging.DEBUG
