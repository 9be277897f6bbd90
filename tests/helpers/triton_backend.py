"""A stand-in for Triton's onnxruntime backend: the real server loads this file as the backend of that name.

The wheel has no onnxruntime backend, but it has the server, which reads, checks, batches, warms up and answers, and the
python backend, on which a backend of any name can stand. So a repository runs as it was written. As the real one does,
this backend takes the file and the threads from the configuration, refuses a configuration whose tensors are not those
of the graph, and runs the rows of all requests of a batch at once.
"""

import json
import os

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton

TYPES = {"TYPE_FP32": "tensor(float)"}


def signature(values):
    """name -> (type, shape with -1 for what is dynamic) of a graph's inputs or outputs."""
    return {v.name: (v.type, [size if isinstance(size, int) else -1 for size in v.shape]) for v in values}


class TritonPythonModel:
    """What the python backend calls."""

    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.batched = config["max_batch_size"] > 0
        self.names = [output["name"] for output in config["output"]]
        options = onnxruntime.SessionOptions()
        threads = config["parameters"].get("intra_op_thread_count", {"string_value": "0"})
        options.intra_op_num_threads = int(threads["string_value"])
        path = os.path.join(args["model_repository"], args["model_version"], config["default_model_filename"])
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.check("input", config["input"], signature(self.session.get_inputs()))
        self.check("output", config["output"], signature(self.session.get_outputs()))

    def check(self, kind, tensors, expected):
        batch = [-1] if self.batched else []
        received = {tensor["name"]: (TYPES.get(tensor["data_type"]), batch + tensor["dims"]) for tensor in tensors}
        if received != expected:
            raise triton.TritonModelException(f"{kind}s: the graph has {expected}, the configuration {received}")

    def execute(self, requests):
        rows = [{tensor.name(): tensor.as_numpy() for tensor in request.inputs()} for request in requests]
        if not self.batched:
            return [self.response(self.session.run(self.names, inputs)) for inputs in rows]
        inputs = {name: np.concatenate([one[name] for one in rows]) for name in rows[0]}
        ends = np.cumsum([len(next(iter(one.values()))) for one in rows])[:-1]
        outputs = [np.split(value, ends) for value in self.session.run(self.names, inputs)]
        return [self.response(parts) for parts in zip(*outputs, strict=True)]

    def response(self, values):
        tensors = [triton.Tensor(name, value) for name, value in zip(self.names, values, strict=True)]
        return triton.InferenceResponse(tensors)
