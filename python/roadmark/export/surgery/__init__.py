"""Changes to ONNX graphs that keep their results and make them faster, a module each."""
