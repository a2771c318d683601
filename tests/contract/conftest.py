"""Nodes of today and older ones, one of which leaves `listpays` to us; what clients meet is made once on each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box.host import hosting
from tests.support.clients import OPTIONS, Form, Recorded, record


@pytest.fixture(scope="session", params=["v26.06.6", "v25.09"])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    with hosting(Path(tmp_path_factory.mktemp("host")), version=request.param, **OPTIONS) as host:
        yield record(host)


@pytest.fixture(scope="session", params=["v26.06.6", "v25.12"])
def xpaid(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """The same for clients that call `xpay`, on releases that have different codes."""
    with hosting(Path(tmp_path_factory.mktemp("host")), version=request.param, **OPTIONS) as host:
        yield record(host, Form.XPAY)
