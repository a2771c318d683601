"""What is believed about balances, from what our own payments came to; pure: time is an argument in unix seconds.

`beliefs` learns from `observation`s and makes the `knowledge` that a plan is given; `chance` is what that means
for one arc, `prior` what is believed where nothing is known, `in_flight` what our own live parts hold.
"""
