"""Dictionaries made here: corpora, token states, training, and the reconstruction report.

Stands above the rest of sae and may import all that sae may.
"""
