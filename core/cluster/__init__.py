"""A sweep as jobs: one row of a list is one job, sent to Slurm or to processes of this machine.

Jobs run the product's own command on a shared store, so nothing of it travels but words. Here rows
are named, sent, asked how they stand, stopped, and weighed before they start. May import
leaderboard and all below it.
"""
