"""Runs the CUDA-graph runner over a stand-in network, a part of gpu_check.py.

Arguments: the folder of the extensions, and the file to write. The network is a few convolutions of
PyTorch with random weights, so its detections mean nothing; what is checked is that pictures,
network and post-processing on the GPU give the boxes that the CPU's operations give from the same
raw outputs, and what is measured is what the whole path adds to the network. Where TensorRT and
cuda-python are installed, their versions are noted.
"""

import importlib.metadata
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

import roadmark.ops

roadmark.ops.__path__.append(sys.argv[1])

from roadmark import manifest  # noqa: E402
from roadmark.inference.cuda_detector import CudaDetector  # noqa: E402
from roadmark.inference.cuda_runtime import DeviceArray  # noqa: E402
from roadmark.ops.postprocess import postprocess  # noqa: E402
from roadmark.ops.preprocess import preprocess  # noqa: E402

HEIGHT, WIDTH, SIDE, CLASSES = 720, 1280, 640, 3
ANCHORS = 51_150
FRAMES = 200
INPUT = manifest.InputSpec(
    name="image",
    height=SIDE,
    width=SIDE,
    resize=manifest.FIXED_SHAPE,
    min_dimension=0,
    max_dimension=0,
    mean=(127.5,) * 3,
    scale=(1 / 127.5,) * 3,
    pad_value=(0.0,) * 3,
    channel_order="RGB",
    layout="NHWC",
    dtype="float32",
    true_shapes_name="",
)
POSTPROCESS = manifest.PostprocessSpec(
    architecture=manifest.ONE_STAGE,
    box_coder=manifest.BoxCoderSpec("faster_rcnn", (10.0, 10.0, 5.0, 5.0)),
    background_column=False,
    score_converter=manifest.SIGMOID,
    logit_scale=1.0,
    nms=manifest.NmsSpec(manifest.PER_CLASS, 0.3, 0.6, 100, 100, 0.0),
    mask_threshold=0.5,
)
DESCRIPTION = manifest.Manifest(
    model="stand-in",
    input=INPUT,
    outputs=(),
    postprocess=POSTPROCESS,
    label_map={"1": "vehicle", "2": "pedestrian", "3": "cyclist"},
    config_sha256="",
    weights_sha256="",
    step=0,
    engines=(),
)


class StandIn:
    """Two convolutions and a product, whose results are spread over as many rows as anchors."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 32, 3, 4, 1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(32, 64, 3, 4, 1),
        ).cuda()
        self.image = torch.zeros(1, SIDE, SIDE, 3, device="cuda")
        self.logits = torch.zeros(1, ANCHORS, CLASSES, device="cuda")
        self.boxes = torch.zeros(1, ANCHORS, 4, device="cuda")
        self.inputs = {"image": array_of(self.image)}
        self.outputs = {
            "class_logits": array_of(self.logits),
            "box_encodings": array_of(self.boxes),
        }

    def enqueue(self, stream: object) -> None:
        """Puts the network on a stream."""
        with torch.no_grad(), torch.cuda.stream(torch.cuda.ExternalStream(int(stream))):
            features = self.layers(self.image.permute(0, 3, 1, 2)).flatten()
            spread = features.repeat(1 + ANCHORS * 4 // features.numel())
            self.logits.copy_(spread[: ANCHORS * CLASSES].view_as(self.logits) * 4 - 4)
            self.boxes.copy_(spread[: ANCHORS * 4].view_as(self.boxes) * 0.3)


def array_of(tensor: torch.Tensor) -> DeviceArray:
    """A tensor's memory, which the caller keeps."""
    dtype = np.dtype(str(tensor.dtype).removeprefix("torch."))
    return DeviceArray(tensor.data_ptr(), tuple(tensor.shape), dtype)


def anchors() -> np.ndarray:
    """Boxes of a street's sizes, normalised."""
    rng = np.random.default_rng(1)
    corners, sides = rng.uniform(0, 0.8, (ANCHORS, 2)), rng.uniform(0.02, 0.2, (ANCHORS, 2))
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32)


def differences(detector: CudaDetector, networks: list[StandIn], picture: np.ndarray) -> list[str]:
    """What the GPU's path has otherwise than the CPU's operations."""
    (found,) = detector.detect([picture])
    network = networks[-1]
    batch = preprocess([picture], INPUT)
    wrong = []
    if not np.array_equal(network.image.cpu().numpy(), batch):
        wrong.append("pre-processing differs")
    outputs = {
        "class_logits": network.logits.cpu().numpy(),
        "box_encodings": network.boxes.cpu().numpy(),
    }
    (expected,) = postprocess(outputs, anchors(), POSTPROCESS, INPUT, [picture.shape[:2]])
    for name in ("boxes", "scores", "classes"):
        if not np.array_equal(getattr(found, name), getattr(expected, name)):
            wrong.append(f"{name} differ ({len(found)} and {len(expected)} found)")
    if not len(found):
        wrong.append("nothing was found, so nothing was compared")
    return wrong


def measure(detector: CudaDetector, network: StandIn, picture: np.ndarray) -> dict:
    """Milliseconds of the whole path, by the clock and on the GPU, and of the network alone."""
    whole, on_gpu = [], []
    for _ in range(FRAMES):
        begin = time.perf_counter()
        detector.detect([picture])
        whole.append(1e3 * (time.perf_counter() - begin))
        on_gpu.append(detector.milliseconds)
    alone = network_alone(network)
    return {
        "whole_path_ms": summary(whole),
        "whole_path_on_gpu_ms": summary(on_gpu),
        "network_ms": summary(alone),
        "p99_over_network_median": summary(whole)["p99"] / summary(alone)["median"],
        "pipelined_per_s": pipelined(detector, picture),
    }


def network_alone(network: StandIn) -> list[float]:
    """Milliseconds of each launch of a graph of the network."""
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    network.enqueue(stream.cuda_stream)
    stream.synchronize()
    with torch.cuda.graph(graph, stream=stream):
        network.enqueue(stream.cuda_stream)
    times = []
    for _ in range(FRAMES):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return times


def pipelined(detector: CudaDetector, picture: np.ndarray) -> float:
    """Frames per second with two under way."""
    begin, waiting = time.perf_counter(), [detector.submit([picture])]
    for _ in range(FRAMES - 1):
        waiting.append(detector.submit([picture]))
        detector.result(waiting.pop(0))
    detector.result(waiting.pop())
    return FRAMES / (time.perf_counter() - begin)


def summary(times: list[float]) -> dict:
    """Percentiles of milliseconds, and how many samples they rest on."""
    return {
        "median": statistics.median(times),
        "p90": float(np.percentile(times, 90)),
        "p99": float(np.percentile(times, 99)),
        "samples": len(times),
    }


def versions() -> dict:
    """Of what is there."""
    found = {}
    for name in ("tensorrt", "cuda-python", "cuda-bindings", "torch"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def main() -> int:
    """Runs the part; returns the exit code."""
    networks: list[StandIn] = []

    def network() -> StandIn:
        networks.append(StandIn())
        return networks[-1]

    picture = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    detector = CudaDetector(DESCRIPTION, anchors(), network, (HEIGHT, WIDTH))
    wrong = differences(detector, networks, picture)
    measured = measure(detector, networks[0], picture)
    found = {"versions": versions(), "wrong": wrong, **measured}
    Path(sys.argv[2]).write_text(json.dumps(found))
    times = measured["whole_path_ms"], measured["network_ms"]
    print(
        f"{'; '.join(wrong) or 'same boxes as the CPU'}; whole path {times[0]['median']:.2f} ms "
        f"(p99 {times[0]['p99']:.2f}), stand-in network {times[1]['median']:.2f} ms; tensorrt "
        f"{found['versions']['tensorrt']}"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
