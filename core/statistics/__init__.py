"""Bootstrap, neighbours, ridge, scaling, smoothing, ranks, discovery: pure functions on arrays.

May import runtime and the ground.
"""
