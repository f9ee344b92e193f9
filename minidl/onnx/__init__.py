"""Networks as ONNX graphs: `to_onnx` writes one from a record of a run, and `from_onnx` makes a Module of one.

    minidl.io.export_onnx(model, "model.onnx");  model = minidl.io.load_onnx("model.onnx")

`minidl/io/onnx_file.py` has these functions, which read and write files. Here nothing is opened: `trace.py`, `graph.py`
and `writing/` turn a model into a graph; `checks.py`, `tensors.py`, `reading/` and `network.py` turn a graph into a
model. The package `onnx` is needed (`pip install minidl[onnx]`); it is imported when one of these files is.
"""
