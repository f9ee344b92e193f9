"""The tables of the report as text."""

import numpy as np

from minidl.report.tables import class_table, confusion_table, mistakes_table, most_confused
from minidl.text import columns

BY_HAND = np.array([[3, 1, 0], [0, 2, 0], [2, 0, 0]])


def test_class_table():
    assert class_table(BY_HAND, ("a", "b", "long name")).splitlines() == [
        "class      precision   recall       F1   images",
        "a              60.00    75.00    66.67        4",
        "b              66.67   100.00    80.00        2",
        "long name       0.00     0.00     0.00        2",
        "mean           42.22    58.33    48.89        8",
    ]


def test_classes_that_do_not_occur():
    """They have no row and no part in the means, but are named."""
    larger = np.zeros((10, 10), int)
    larger[:3, :3] = BY_HAND
    lines = class_table(larger, ("a", "b", "long name", *"defghij")).splitlines()
    assert lines[:-1] == class_table(BY_HAND, ("a", "b", "long name")).splitlines()
    assert lines[-1] == "neither there nor predicted: d, e, f, g, h and 2 more"


def test_confusion_table():
    assert confusion_table(BY_HAND, ("a", "b", "c")).splitlines() == [
        "   a  b  c",
        "a  3  1  0",
        "b  0  2  0",
        "c  2  0  0",
    ]
    assert confusion_table(BY_HAND[:2, :2] * 1000, ("trouser", "bag")).splitlines() == [
        "               0     1",
        " 0 trouser  3000  1000",
        " 1 bag         0  2000",
    ]


def test_most_frequent_mistakes():
    assert most_confused(BY_HAND) == [(2, 0, 2), (0, 1, 1)]
    assert most_confused(BY_HAND, 1) == [(2, 0, 2)]
    assert mistakes_table(BY_HAND, "abc").splitlines() == [
        "    times  of class   true -> predicted",
        "        2  100.00 %   c -> a",
        "        1   25.00 %   a -> b",
    ]
    assert mistakes_table(np.eye(3, dtype=int), "abc") == "there are no mistakes"


def test_long_and_wide_names_keep_the_columns():
    names = ("a" * 300, "猫", "two\nlines")
    rows = class_table(BY_HAND, names).splitlines()[1:4]
    assert [columns(row) for row in rows] == [40 + 38] * 3
    assert rows[0].startswith(f"{'a' * 37}...  ")
    assert rows[2].startswith("two lines ")
    assert len({columns(row) for row in confusion_table(BY_HAND, names).splitlines()}) == 1
