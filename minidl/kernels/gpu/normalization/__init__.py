"""Normalization: of channels, groups and layers, and by neighbouring channels."""
