"""The claim court: what a claim says, what is cached about it, and what follows from it.

It may import measures, diagnosis and the leaderboard; it measures nothing itself.
"""
