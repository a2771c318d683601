"""What an answer of the network means, read once: a failure, the blame in it, and what follows from that.

`failure` is what came back, `blame` who says what of whom, `restrictions` what this payment may still try, and
`observations` what everybody's beliefs learn from it.
"""
