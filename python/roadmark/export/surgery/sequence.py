"""All steps of the surgery, in the order in which one makes way for the next."""

import onnx

from roadmark.export.surgery import detours, transposes, upsampling, weighted_sums
from roadmark.export.surgery.graph import Graph

STEPS = {
    "upsamplings": upsampling.apply,
    "weighted sums": weighted_sums.apply,
    "detours": detours.apply,
    "transposes": transposes.apply,
}


def apply(model: onnx.ModelProto) -> dict[str, int]:
    """Applies every step to a model.

    Args:
        model: Is changed in place. Shapes must be constants where they do not hang on the batch.

    Returns:
        At how many sites each step was applied.
    """
    graph = Graph(model)
    return {name: step(graph) for name, step in STEPS.items()}
