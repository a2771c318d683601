"""A call of `pay` from its parameters to its answer; what an earlier run left is taken up before the first one."""
