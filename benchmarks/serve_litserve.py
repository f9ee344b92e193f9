"""A network in PyTorch, served by LitServe, for `serve.py`:   python benchmarks/serve_litserve.py NAME PORT"""

import io
import os
import sys
from typing import Annotated

import litserve
import numpy as np
import torch
from fastapi import Body
from PIL import Image
from serve import BATCH, NETWORKS, WAIT_MS
from torch_zoo import factories

from minidl.io.image import Preprocessing


class Api(litserve.LitAPI):
    """An image as a raw body in, the five most probable classes out."""

    def __init__(self, name, **settings):
        super().__init__(**settings)
        self.network = name

    def setup(self, device):
        settings, facts, _, _ = NETWORKS[self.network]
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self.model = factories()[self.network](**settings).eval()
        self.preprocessing = Preprocessing.of(facts)

    def decode_request(self, request: Annotated[bytes, Body()]):
        return self.preprocessing(Image.open(io.BytesIO(request)))

    def batch(self, inputs):
        return torch.from_numpy(np.stack(inputs))

    def predict(self, x):
        with torch.inference_mode():
            best = torch.softmax(self.model(x), 1).topk(5)
        return list(zip(best.values.tolist(), best.indices.tolist(), strict=True))

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return {"predictions": [{"index": i, "probability": p} for p, i in zip(*output, strict=True)]}


if __name__ == "__main__":
    api = Api(sys.argv[1], max_batch_size=BATCH, batch_timeout=WAIT_MS / 1000)
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1).run(
        host="127.0.0.1", port=int(sys.argv[2]), log_level="error", generate_client_file=False, num_api_servers=1)
