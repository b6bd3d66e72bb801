"""What people say: tables into annotations, annotations into items, splits, labels as arrays.

From a file to a set: ``files``, ``guess``, ``columns``, ``rows``, ``annotations``, ``items``,
``sets``. DuckDB SQL is in ``annotations``. May import statistics, runtime and the ground, not
models.
"""
