"""Directions, recipes, edits of the residual stream, texts written so, and their history.

From below: directions, latents, recipes; edits; effects; generation, history, run, export; then
``jobs``, ``view`` and ``plots``. May import sae, maps, measures, activations and all below them.
"""
