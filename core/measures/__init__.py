"""The four tests on arrays, and the paper's originals: pure functions, each with its resamples.

May import dataset and all below it; knows no model and no store of results.
"""
