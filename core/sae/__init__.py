"""Dictionaries (sparse autoencoders): encode, decode, published and own ones, by name, by content.

``training`` makes them. May import activations and all below it, not diagnosis or maps.
"""
