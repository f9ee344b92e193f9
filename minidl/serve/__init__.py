"""Trained networks over HTTP: an API, and a page to try them in a browser. Needs the extra `serve`.

    minidl serve best.safetensors            # then open http://127.0.0.1:8000/

A request passes through these files: `gate.py` (ids, tokens, log, errors), `routes.py`, `classify.py` (POST
/v1/predict) or `protocol.py` (the Open Inference Protocol), `body.py` (what was sent, below limits), and `batches.py`,
which gathers the images of many requests into batches for the threads that compute. `models.py` loads the networks,
`server.py` listens.
"""

from minidl.serve.needs import check_needs
from minidl.serve.settings import Settings

__all__ = ["Settings", "check_needs"]
