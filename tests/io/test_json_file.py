"""JSON files: what JSON lacks, and where lines end."""

import json

import numpy as np
import pytest

from minidl import Tensor
from minidl.io.json_file import for_json, json_text, write_json


def test_what_json_lacks():
    value = {"a": float("nan"), 2: np.float32("inf"), "b": [1.5, -float("inf")], "c": Tensor(np.array(2.0)), "d": {1, },
             "e": None, "f": True}
    assert json.dumps(for_json(value), allow_nan=False) == (
        '{"a": null, "2": null, "b": [1.5, null], "c": 2.0, "d": "{1}", "e": null, "f": true}')


@pytest.mark.parametrize("value", [
    {}, [], [[]], [{}], {"a": {}}, {"a": []}, None, 3, "text", '"quoted"\n', [1, [2, [3]], {"a": [4]}], "\udcff",
    {'"key"\n': [{"b": None, "c": [True, 1e-30]}, {"b": -1}]},
])
def test_json_text_is_the_value(value):
    assert json.loads(json_text(value)) == value


def test_a_row_of_a_matrix_is_a_line(tmp_path):
    write_json(tmp_path / "file.json", {"matrix": np.eye(2, dtype=int), "classes": [{"name": "a"}, {"name": "b"}]})
    assert (tmp_path / "file.json").read_text() == """{
 "matrix": [
  [1,0],
  [0,1]
 ],
 "classes": [
  {
   "name": "a"
  },
  {
   "name": "b"
  }
 ]
}
"""
