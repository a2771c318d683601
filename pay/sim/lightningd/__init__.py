"""A stand-in for lightningd: starts plugins, serves the socket, and pays over the simulated network."""
