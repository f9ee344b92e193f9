"""Tools for testing operations, minidl's and your own.

`check_gradients` compares an operation's backward with finite differences; `examples/new_op.py` shows how to use it.
`strategies` draws shapes, settings and memory layouts for property-based tests. It needs Hypothesis, so it is not
imported here: write `from minidl.testing import strategies`.
"""

from minidl.testing.gradients import check_gradients

__all__ = ["check_gradients"]
