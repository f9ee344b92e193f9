"""Tools for testing operations, yours as well as ours.

`check_gradients` holds an operation's backward against finite differences; `examples/new_op.py` shows it at work.
`strategies` draws shapes, settings and memory layouts for property-based tests. It needs Hypothesis, so it is not
imported here: write `from minidl.testing import strategies`.
"""

from minidl.testing.gradients import check_gradients

__all__ = ["check_gradients"]
