"""Times the CUDA operations and torchvision's, side by side: a part of gpu_check.py.

Arguments: the folder of the extensions, and the file to write. Milliseconds by CUDA events, medians
of rounds in which ours and theirs take turns.
"""

import json
import statistics
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

import roadmark.ops

roadmark.ops.__path__.append(sys.argv[1])

from roadmark.ops import cuda  # noqa: E402
from roadmark.ops.drawing_style import style_of  # noqa: E402

ROUNDS, CALLS, WARM_UP = 25, 8, 3
ANCHORS = 76_725


def milliseconds(call: Callable[[], object], calls: int = CALLS) -> float:
    """Of one call, among several in a row."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(calls):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / calls


def interleaved(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The median of each, all measured in turn."""
    for call in calls.values():
        milliseconds(call, WARM_UP)
    rounds = [{name: milliseconds(call) for name, call in calls.items()} for _ in range(ROUNDS)]
    return {name: statistics.median(times[name] for times in rounds) for name in calls}


def captured(call: Callable[[], object]) -> Callable[[], object]:
    """The same work as a CUDA graph: without the time that the calls take in Python."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def bandwidth() -> float:
    """Bytes per millisecond, read and written by a copy of 1 GiB."""
    source = torch.empty(2**30, dtype=torch.uint8, device="cuda").random_()
    target = torch.empty_like(source)
    median = interleaved({"copy": lambda: target.copy_(source)})["copy"]
    return 2 * source.numel() / median


def row(
    operation: str,
    size: str,
    ours: Callable[[], object],
    moved: int,
    per_millisecond: float,
    peer: str = "",
    theirs: Callable[[], object] | None = None,
) -> dict:
    """Measures one line of the table."""
    ours()
    torch.cuda.synchronize()
    calls = {"ours": ours, "ours_graph": captured(ours)}
    if theirs:
        calls["theirs"] = theirs
    times = interleaved(calls)
    their_time = times.get("theirs")
    return {
        "suite": "gpu",
        "operation": operation,
        "size": size,
        "device": torch.cuda.get_device_name(),
        "peer": peer,
        "unit": "ms",
        "ours": times["ours"],
        "ours_graph": times["ours_graph"],
        "theirs": their_time,
        "ratio": their_time / times["ours"] if their_time else None,
        "floor": moved / per_millisecond,
    }


def workspace(size: int) -> torch.Tensor:
    """Uninitialised."""
    return torch.empty(max(size, 1), dtype=torch.uint8, device="cuda")


def selections(count: int) -> cuda.Selections:
    """Outputs of suppression."""
    return cuda.Selections(
        torch.empty(count, dtype=torch.int64, device="cuda"),
        torch.empty(count, dtype=torch.int32, device="cuda"),
        torch.empty(count, dtype=torch.float32, device="cuda"),
        torch.empty(1, dtype=torch.int32, device="cuda"),
    )


def scene(count: int) -> torch.Tensor:
    """Boxes of a street's sizes in a picture of 1280 by 720 pixels."""
    torch.manual_seed(count)
    corners = torch.rand(count, 2, device="cuda") * torch.tensor([640.0, 1200.0], device="cuda")
    sizes = 8 + torch.rand(count, 2, device="cuda") ** 2 * 150
    return torch.cat([corners, corners + sizes], dim=1)


def time_nms(per_millisecond: float, count: int, classes: int) -> dict:
    """Everything that torchvision keeps is kept: no limits, no score threshold."""
    boxes = scene(count)
    scores = (torch.randperm(count, device="cuda") + 1).float() / count
    of_box = torch.randint(0, classes, (count,), device="cuda", dtype=torch.int32)
    limits = {"max_per_class": count, "max_total": count}
    out, buffer = selections(count), workspace(cuda.nms_workspace_bytes(count, classes, **limits))

    def ours() -> None:
        cuda.nms(
            boxes,
            scores,
            of_box if classes > 1 else None,
            num_classes=classes,
            score_threshold=0.0,
            iou_threshold=0.5,
            **limits,
            out=out,
            workspace=buffer,
            stream=torch.cuda.current_stream(),
        )

    size = f"{count} boxes, {classes} classes"
    moved = count * (16 + 4) + (4 * count if classes > 1 else 0)
    try:
        from torchvision import ops
    except ImportError as error:
        print(f"no torchvision: {error}", flush=True)
        return row("nms", size, ours, moved, per_millisecond)
    wide = of_box.long()

    def theirs() -> torch.Tensor:
        if classes == 1:
            return ops.nms(boxes, scores, 0.5)
        return ops.batched_nms(boxes, scores, wide, 0.5)

    ours()
    kept = set(out.indices[: int(out.counts)].tolist())
    differing = len(kept ^ set(theirs().tolist()))
    peer = "torchvision " + ("nms" if classes == 1 else "batched_nms")
    result = row("nms", size, ours, moved, per_millisecond, peer, theirs)
    return result | {"kept": len(kept), "kept_by_one_only": differing}


def time_postprocess(per_millisecond: float, classes: int, threshold: float) -> dict:
    """EfficientDet-D1 at 640: logits of a trained network's background."""
    torch.manual_seed(1)
    logits = torch.randn(1, ANCHORS, classes, device="cuda") * 1.5 - 6
    encodings = torch.rand(1, ANCHORS, 1, 4, device="cuda")
    anchors = scene(ANCHORS) / 1280
    out = cuda.DetectionArrays(
        torch.empty(1, 100, 4, device="cuda"),
        torch.empty(1, 100, device="cuda"),
        torch.empty(1, 100, dtype=torch.int32, device="cuda"),
        torch.empty(1, 100, dtype=torch.int64, device="cuda"),
        torch.empty(1, dtype=torch.int32, device="cuda"),
    )
    windows = torch.ones(1, 2, device="cuda")

    def call(**where: object) -> int:
        return cuda.postprocess(
            logits,
            encodings,
            anchors,
            windows=windows,
            scale_factors=(10.0, 10.0, 5.0, 5.0),
            score_converter="sigmoid",
            score_threshold=threshold,
            iou_threshold=0.5,
            max_per_class=100,
            max_total=100,
            stream=torch.cuda.current_stream(),
            **where,
        )

    buffer = workspace(call(out=None, workspace=None))
    size = f"{ANCHORS} anchors, {classes} classes, threshold {threshold:g}"
    return row(
        "postprocess",
        size,
        lambda: call(out=out, workspace=buffer),
        logits.numel() * 4,
        per_millisecond,
    )


def time_preprocess(per_millisecond: float, height: int, width: int, nv12: bool) -> dict:
    """A video frame to a network's input of 640 by 640, float32."""
    shapes = [(height, width), (height // 2, width // 2, 2)] if nv12 else [(height, width, 3)]
    planes = [torch.randint(0, 256, shape, dtype=torch.uint8, device="cuda") for shape in shapes]
    out = torch.empty(640, 640, 3, device="cuda")

    def ours() -> None:
        cuda.preprocess(
            planes,
            resized=(640, 640),
            mean=(127.5, 127.5, 127.5),
            scale=(1 / 127.5, 1 / 127.5, 1 / 127.5),
            pad_value=(0.0, 0.0, 0.0),
            out=out,
            stream=torch.cuda.current_stream(),
        )

    moved = sum(plane.numel() for plane in planes) + out.numel() * 4
    size = f"{width}x{height} {'NV12' if nv12 else 'RGB'} to 640"
    return row("preprocess", size, ours, moved, per_millisecond)


def time_decode(per_millisecond: float) -> dict:
    """Every box of EfficientDet-D1."""
    encodings, anchors = torch.randn(ANCHORS, 4, device="cuda"), scene(ANCHORS)
    out = torch.empty_like(anchors)

    def ours() -> None:
        cuda.decode(
            encodings,
            anchors,
            (10.0, 10.0, 5.0, 5.0),
            out=out,
            stream=torch.cuda.current_stream(),
        )

    return row("box decode", str(ANCHORS), ours, 3 * out.numel() * 4, per_millisecond)


def time_masks(per_millisecond: float) -> dict:
    """Mask R-CNN's second stage: 300 proposals, 90 classes, 33 x 33 mask logits per class."""
    torch.manual_seed(2)
    count, classes, side = 300, 90, 33
    logits = torch.randn(1, count, classes + 1, device="cuda") * 2
    encodings = torch.rand(1, count, classes, 4, device="cuda")
    mask_logits = torch.randn(1, count, classes, side, side, device="cuda")
    proposals = scene(count).reshape(1, count, 4) / 1280
    out = cuda.DetectionArrays(
        torch.empty(1, 100, 4, device="cuda"),
        torch.empty(1, 100, device="cuda"),
        torch.empty(1, 100, dtype=torch.int32, device="cuda"),
        torch.empty(1, 100, dtype=torch.int64, device="cuda"),
        torch.empty(1, dtype=torch.int32, device="cuda"),
        torch.empty(1, 100, side, side, device="cuda"),
    )
    windows = torch.ones(1, 2, device="cuda")

    def call(**where: object) -> int:
        return cuda.postprocess(
            logits,
            encodings,
            proposals,
            mask_logits=mask_logits,
            windows=windows,
            scale_factors=(10.0, 10.0, 5.0, 5.0),
            score_converter="softmax",
            background_column=True,
            score_threshold=1e-8,
            iou_threshold=0.6,
            max_per_class=100,
            max_total=100,
            stream=torch.cuda.current_stream(),
            **where,
        )

    buffer = workspace(call(out=None, workspace=None))
    moved = (logits.numel() + 2 * 100 * side * side) * 4
    size = f"{count} proposals, {classes} classes, with masks"
    return row("postprocess", size, lambda: call(out=out, workspace=buffer), moved, per_millisecond)


def time_annotate(per_millisecond: float, objects: int, masks: bool, trails: bool) -> dict:
    """On a 1080p NV12 frame, letters of 13 by 20 pixels."""
    height, width, characters, points = 1080, 1920, 14, 30
    planes = [
        torch.randint(0, 256, (height, width), dtype=torch.uint8, device="cuda"),
        torch.randint(0, 256, (height // 2, width // 2, 2), dtype=torch.uint8, device="cuda"),
    ]
    boxes = scene(objects) * 1.5
    colours = torch.randint(0, 256, (objects, 3), dtype=torch.uint8, device="cuda")
    labels = torch.full((objects, characters), ord("x"), dtype=torch.int32, device="cuda")
    glyphs = torch.tensor([[-1, 1, 5, 13, 20, 15, 0]], dtype=torch.int32, device="cuda")
    coverage = torch.full((13 * 20,), 128, dtype=torch.uint8, device="cuda")
    style = style_of(height, width)
    sides = (boxes[:, 2:] - boxes[:, :2]).sum().item()
    # Frames and tags are read and written.
    pixels = 2 * sides * style.line_width + objects * 32 * (characters * 15 + 10)
    moved = int(2 * 1.5 * pixels)
    optional: dict[str, torch.Tensor] = {}
    if masks:
        corners = [boxes[:, k].long() for k in range(4)]
        rows = torch.arange(height, device="cuda")[None, :, None]
        columns = torch.arange(width, device="cuda")[None, None, :]
        top, left, bottom, right = (corner[:, None, None] for corner in corners)
        optional["masks"] = (
            (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
        ).contiguous()
        moved += optional["masks"].numel()
    if trails:
        steps = torch.arange(points, device="cuda")[None, :, None] * torch.tensor(
            [3.0, 5.0], device="cuda"
        )
        optional["trail_points"] = (boxes[:, None, :2] + steps).reshape(-1, 2).contiguous()
        optional["trail_ends"] = torch.arange(1, objects + 1, device="cuda") * points
    buffer = workspace(cuda.annotate_workspace_bytes(objects, characters))

    def ours() -> None:
        cuda.annotate(
            planes,
            luma_weights=(0.2126, 0.0722),
            boxes=boxes,
            colours=colours,
            text_colours=colours,
            labels=labels,
            glyphs=glyphs,
            coverage=coverage,
            line_height=32,
            style=style,
            workspace=buffer,
            stream=torch.cuda.current_stream(),
            **optional,
        )

    what = "".join([", masks" if masks else "", ", trails" if trails else ""])
    return row(
        "annotate", f"{objects} boxes with tags{what}, 1080p NV12", ours, moved, per_millisecond
    )


def main() -> int:
    """Measures everything; returns the exit code."""
    per_millisecond = bandwidth()
    rows: list[dict] = []
    failed = 0
    measurements: list[tuple[Callable[..., dict], tuple]] = [
        *((time_nms, (count, classes)) for count in (1000, 10_000) for classes in (1, 80)),
        *((time_postprocess, (classes, t)) for classes in (90, 3) for t in (1e-8, 0.3)),
        (time_preprocess, (720, 1280, True)),
        (time_preprocess, (1080, 1920, True)),
        (time_preprocess, (720, 1280, False)),
        (time_decode, ()),
        (time_masks, ()),
        (time_annotate, (20, False, False)),
        (time_annotate, (20, True, True)),
        (time_annotate, (200, False, False)),
    ]
    for measure, arguments in measurements:
        try:
            rows.append(measure(per_millisecond, *arguments))
        except Exception:
            failed += 1
            print(measure.__name__, arguments, flush=True)
            traceback.print_exc(limit=3)
        report = {"bandwidth_gb_s": per_millisecond / 1e6, "rows": rows}
        Path(sys.argv[2]).write_text(json.dumps(report))
    print(f"{len(rows)} measured, {failed} failed; a copy moves {per_millisecond / 1e6:.0f} GB/s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
