"""Two to four readings of the same actions beside each other: differences, maps, texts.

``jobs`` is what pages and commands ask; ``view`` and ``plots`` are what they draw. May import
steering and all below it, not features or leaderboard.
"""
