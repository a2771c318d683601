"""A `pay` for Core Lightning: the documented command on a planner and session of its own."""
