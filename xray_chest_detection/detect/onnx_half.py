"""Halving an ONNX file: weights are stored as float16 and cast to float32 when the model is opened.

A runtime on a CPU computes in float32 either way. Converting the whole graph to float16 instead makes it cast at every
operation; here the casts stand behind constants, so that they are folded away once and speed stays that of float32.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MIN_VALUES = 64  # smaller constants (shapes, strides, scales) stay exact


def store_weights_as_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose large float32 constants are stored as float16; inputs, outputs and arithmetic stay float32.

    Values beyond the range of float16 are left in float32.
    """
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    graph = halved.graph
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < MIN_VALUES or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = tensor.name
        stored = numpy_helper.from_array(values.astype(np.float16), f"{name}_half")
        tensor.CopyFrom(stored)
        casts.append(helper.make_node("Cast", [stored.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return halved
