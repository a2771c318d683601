"""The tests; helpers that assert are rewritten by pytest as the tests themselves are."""

import pytest

pytest.register_assert_rewrite("tests.support", "tests.real.support")
