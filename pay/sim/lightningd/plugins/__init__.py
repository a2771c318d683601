"""Plugins: their processes, what they register, the chain of their hooks, and the options of node and plugins."""
