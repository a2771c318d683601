#!/usr/bin/env python3
"""Has the name `pay` where nobody has it: see `name.py`."""

import os
import sys

# In front of this folder, in which `pay` is another thing.
sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(os.path.realpath(__file__)), *[".."] * 3)))

from pay.app.stand_in.name import serve

if __name__ == "__main__":
    serve("pay")
