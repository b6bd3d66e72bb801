"""What an edit does beside its controls: read-out, strength sweep, off-target effect, landing.

May import what is below it in steering (edits, directions, latents), and all that steering may.
"""
