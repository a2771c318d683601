"""A `pay` for Core Lightning: the documented command on a planner and session of its own."""

__version__ = "0.9.0"
"""Of the product, clnpay. Read also by Pythons that are too old for the rest."""
