"""Which latents of a dictionary are moral, and may one believe it: activations, ranks, effects.

``jobs`` is what pages and commands ask; ``view`` and ``plots`` are what they draw. May import
steering and all below it, not comparison or leaderboard.
"""
