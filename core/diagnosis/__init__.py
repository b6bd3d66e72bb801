"""The four tests at every layer beside their controls: verdicts, evidence, waterfall, receipts.

``jobs`` is what pages and commands ask; ``view`` and ``plots`` are what they draw. May import
measures, activations and all below them, not maps or sae.
"""
