"""The demonstration: payments on a simulated network, each judged by what the world knows of it."""

from pay.sim.demo.demonstration import run

__all__ = ["run"]
