"""What everything stands on: the store, kept things, jobs with progress, workers, torch's devices.

May import the ground alone: exports, layers, palette, foundations.
"""
