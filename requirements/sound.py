"""Print the stages of this Python's `.venv` that are sound: each was finished, and what it brings is there.

The first stage is what the node runs on, so that is imported; of the others it is enough to be found.
"""

import os
import sys
from importlib import import_module
from importlib.util import find_spec

STAGES = {
    "installed": ("numpy", "scipy.sparse.csgraph", "pyln.client"),
    "box": ("networkx",),
    "dev": ("hypothesis", "mypy", "pytest", "ruff", "xdist"),
    "real": ("pyln.testing",),
}


def main() -> None:
    if sys.prefix == sys.base_prefix:
        return
    for stage, modules in STAGES.items():
        if not os.path.exists(os.path.join(sys.prefix, "." + stage)):
            return
        if stage == "installed":
            list(map(import_module, modules))
        elif not all(map(find_spec, modules)):
            return
        print(stage)


if __name__ == "__main__":
    main()
