"""Plugins for nodes under test: programs of the standard library alone, started by the node and not imported."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent

ECHO = _HERE / "echo.py"
FLAVOUR = _HERE / "flavour.py"
WITNESS = _HERE / "witness.py"
GATE = _HERE / "gate.py"
LIAR = _HERE / "liar.py"
CHAIN = _HERE / "chain.py"
MEDDLER = _HERE / "meddler.py"
