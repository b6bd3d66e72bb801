"""Many models on one set: lists of models, the table and its charts, packs of results.

May import diagnosis and all below it, not comparison or features.
"""
