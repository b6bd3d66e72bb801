"""Moralscope without a browser: ``python -m core``."""
