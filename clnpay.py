#!/usr/bin/env python3
"""Runs `plugin.py` under the product's name: lightningd's log and its list of plugins then say clnpay.py."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from plugin import main

if __name__ == "__main__":
    main()
