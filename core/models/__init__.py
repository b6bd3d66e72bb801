"""Which model, where it lies, what is known before it is loaded, and the open ones.

May import statistics, runtime and the ground, not dataset.
"""
