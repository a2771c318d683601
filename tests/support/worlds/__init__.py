"""Payments in a simulated world in virtual time, with the real session and the real planner."""
