"""Alignment: chosen latents of a dictionary are fine-tuned so that their geometry follows people's.

Beside each run stand controls that get the same training with something wrong. May import steering,
features and all below them.
"""
