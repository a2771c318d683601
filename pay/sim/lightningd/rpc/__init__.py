"""JSON-RPC as lightningd speaks it: framing, requests and their parameters, the socket's two ends."""
