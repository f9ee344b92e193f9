"""Softmax and its logarithm along an axis, and cross entropy."""
