"""One node of today and an older one that leaves `listpays` to us; all that clients meet, made once on each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.box.host import hosting
from tests.support.clients import OPTIONS, Recorded, record


@pytest.fixture(scope="session", params=["v26.06.6", "v25.09"])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    with hosting(Path(tmp_path_factory.mktemp("host")), version=request.param, **OPTIONS) as host:
        yield record(host)
