"""Bootstrap, neighbours, ridge, scaling, ranks, false discovery: pure functions on arrays.

May import runtime and the ground.
"""
