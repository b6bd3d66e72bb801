"""The command line: arguments into specs, jobs watched on a terminal, results as lines of text.

May import every other wing; nothing but ``core.__main__`` imports it.
"""
