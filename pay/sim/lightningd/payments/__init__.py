"""Payments made with `sendpay`: the table of rows, the HTLCs in the network, and what is told of both."""
