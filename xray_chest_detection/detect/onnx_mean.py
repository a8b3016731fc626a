"""Several detectors in one ONNX file that answers with their mean."""

from collections.abc import Sequence

import onnx
from onnx import compose, helper

_INPUT, _OUTPUT = "images", "output0"


def mean_of(models: Sequence[onnx.ModelProto]) -> onnx.ModelProto:
    """One ONNX model with the mean of the outputs of detectors that were exported alike; of one, the model itself."""
    if len(models) == 1:
        return models[0]
    parts = [compose.add_prefix(model, f"/network{number}") for number, model in enumerate(models)]
    first = models[0].graph
    nodes, constants, outputs = [], [], []
    for part in parts:
        graph = part.graph
        entry = graph.input[0].name
        for node in graph.node:
            node.input[:] = [_INPUT if name == entry else name for name in node.input]
        nodes += graph.node
        constants += graph.initializer
        outputs.append(graph.output[0].name)
    nodes.append(helper.make_node("Mean", outputs, [_OUTPUT], name="/mean"))
    entry_info, output_info = onnx.ValueInfoProto(), onnx.ValueInfoProto()
    entry_info.CopyFrom(first.input[0])
    output_info.CopyFrom(first.output[0])
    entry_info.name, output_info.name = _INPUT, _OUTPUT
    graph = helper.make_graph(nodes, "ensemble", [entry_info], [output_info], constants)
    return helper.make_model(graph, opset_imports=models[0].opset_import, ir_version=models[0].ir_version)
