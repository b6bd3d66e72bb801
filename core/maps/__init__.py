"""Pictures of states: projections, layouts turned onto each other, sentences placed among items.

``jobs`` is what pages and commands ask; ``view`` and ``plots`` are what they draw. May import
measures, activations and all below them, not diagnosis or sae.
"""
