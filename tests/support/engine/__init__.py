"""Payments in work without a node: a host of a few rows, the runner and a call over it."""
