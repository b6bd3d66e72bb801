"""The layouts in which others publish dictionaries, and what their numbers mean here.

A file for each; its ``from_…`` makes a ``Dictionary`` of tensors and a description, no disk.
Layouts as SAELens 6.54 reads them (``sae_lens/loading/pretrained_sae_loaders.py``); what a layout
computes beside the plain rule is folded into the weights where that is exact, and refused where it
is not. What they share, and the hints from outside a dictionary's files, is in ``shared``.
"""
