"""The real plugin in the box: its host, small worlds, what dies and comes back."""
