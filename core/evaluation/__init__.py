"""Evaluation: which of several ways to answer is better, judged blind, and how sure that is.

Arms write under the same random numbers, judges see pairs in both orders, and no judge counts
before it has answered known pairs. May import steering, comparison's steered reading and all below.
"""
