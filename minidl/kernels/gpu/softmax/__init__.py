"""Softmax, log-softmax and cross entropy."""
