"""One file a command: all that callers write and read of it, and one table of them."""
