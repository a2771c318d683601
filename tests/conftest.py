"""Hypothesis: the same examples in every run, so that a red build means a change and not luck.

`HYPOTHESIS_PROFILE=search` hunts with other examples each time, and with many more of them.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("search", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
