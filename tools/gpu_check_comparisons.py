"""What gpu_check_cases.py compares: the CUDA operations with the core's, bit by bit.

A comparison is named `check_...`. It takes a generator and its case's keywords, and returns what
differs: an empty text where nothing does.
"""

from types import SimpleNamespace

import numpy as np
import torch

from roadmark.ops import _native, cuda
from roadmark.ops.drawing_style import Style

POISON = -7
SCALES = (10.0, 10.0, 5.0, 5.0)


def native_options(options: dict) -> dict:
    """Keywords of the functions with classes."""
    return {
        "score_threshold": options["score_threshold"],
        "iou_threshold": options["iou_threshold"],
        "max_per_class": options["per_class"],
        "max_total": options["total"],
        "soft_nms_sigma": options.get("sigma", 0.0),
    }


def limits(options: dict) -> dict:
    """Keywords of the functions that say how much workspace is needed."""
    keywords = native_options(options)
    return {key: keywords[key] for key in ("max_per_class", "max_total", "soft_nms_sigma")}


def on_gpu(array: np.ndarray) -> torch.Tensor:
    """A copy in CUDA memory."""
    return torch.from_numpy(np.ascontiguousarray(array)).cuda()


def workspace(size: int) -> torch.Tensor:
    """Full of garbage: what is read before it is written shows."""
    return torch.full((max(size, 1),), 0xAB, dtype=torch.uint8, device="cuda")


def poisoned(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    """An output, to see what was left alone."""
    return torch.full(shape, POISON, dtype=dtype, device="cuda")


def stream() -> torch.cuda.Stream:
    """The current one."""
    return torch.cuda.current_stream()


def random_boxes(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Boxes of all sizes, some inverted, some without area, some infinite."""
    corners = rng.uniform(0, 1, (*shape, 2)).astype(np.float32)
    sizes = rng.uniform(0, 0.5, (*shape, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + sizes], axis=-1)
    odd = rng.uniform(size=shape)
    boxes[odd < 0.02] = boxes[odd < 0.02][:, [2, 3, 0, 1]]
    boxes[(odd > 0.02) & (odd < 0.03), 2] = boxes[(odd > 0.02) & (odd < 0.03), 0]
    boxes[(odd > 0.03) & (odd < 0.04), 3] = np.inf
    return boxes


def random_scores(rng: np.random.Generator, *shape: int, levels: int) -> np.ndarray:
    """Scores with ties; a few NaN."""
    scores = rng.integers(1, levels, shape).astype(np.float32) / np.float32(levels)
    scores[rng.uniform(size=shape) < 0.01] = np.nan
    return scores


def same(expected: tuple[np.ndarray, ...], found: list[torch.Tensor], count: int) -> str:
    """Empty, or what differs."""
    if len(expected[0]) != count:
        return f"expected {len(expected[0])} results, found {count}"
    for number, (want, tensor) in enumerate(zip(expected, found, strict=True)):
        have = tensor.cpu().numpy()
        if want.tobytes() != have[:count].astype(want.dtype, copy=False).tobytes():
            return f"output {number} differs among the first {count}"
        if (have[count:] != POISON).any():
            return f"output {number} was written beyond its count"
    return ""


def selections(*shape: int, counts: int) -> cuda.Selections:
    """Outputs of suppression."""
    return cuda.Selections(
        poisoned(*shape, dtype=torch.int64),
        poisoned(*shape, dtype=torch.int32),
        poisoned(*shape, dtype=torch.float32),
        poisoned(counts, dtype=torch.int32),
    )


def check_box_coder(rng: np.random.Generator, count: int) -> str:
    """Encodes and decodes."""
    boxes, anchors = random_boxes(rng, count), random_boxes(rng, count)
    out = torch.empty((count, 4), device="cuda")
    cuda.encode(on_gpu(boxes), on_gpu(anchors), SCALES, out=out, stream=stream())
    encodings = _native.encode_boxes(boxes, anchors, SCALES)
    # NaN has many bit patterns.
    if not np.array_equal(encodings, out.cpu().numpy(), equal_nan=True):
        return "encodings differ"
    encodings = rng.normal(0, 3, (count, 4)).astype(np.float32)
    cuda.decode(on_gpu(encodings), on_gpu(anchors), SCALES, out=out, stream=stream())
    decoded = _native.decode_boxes(encodings, anchors, SCALES)
    return "" if np.array_equal(decoded, out.cpu().numpy(), equal_nan=True) else "boxes differ"


def check_nms(rng: np.random.Generator, count: int, classes: int, options: dict) -> str:
    """Boxes with one score each."""
    boxes, scores = random_boxes(rng, count), random_scores(rng, count, levels=count // 2 + 2)
    of_box = rng.integers(0, classes, count).astype(np.int32)
    out = selections(options["total"], counts=1)
    size = cuda.nms_workspace_bytes(count, classes, **limits(options))
    cuda.nms(
        on_gpu(boxes),
        on_gpu(scores),
        on_gpu(of_box) if classes > 1 else None,
        num_classes=classes,
        **native_options(options),
        out=out,
        workspace=workspace(size),
        stream=stream(),
    )
    expected = _native.batched_nms(boxes, scores, of_box, **native_options(options))
    return same(expected, list(out[:3]), int(out.counts))


def check_multiclass(
    rng: np.random.Generator,
    count: int,
    classes: int,
    options: dict,
    shared: bool,
    class_agnostic: bool = False,
    max_candidates: int = 0,
) -> str:
    """Boxes with a score per class, two images."""
    boxes = random_boxes(rng, *((2, count) if shared else (2, count, classes)))
    scores = random_scores(rng, 2, count, classes, levels=count * classes // 2 + 2)
    out = selections(2, options["total"], counts=2)
    size = cuda.multiclass_nms_workspace_bytes(
        2, count, classes, class_agnostic=class_agnostic, **limits(options)
    )
    choice = {"class_agnostic": class_agnostic, "max_candidates": max_candidates}
    cuda.multiclass_nms(
        on_gpu(boxes),
        on_gpu(scores),
        **native_options(options),
        **choice,
        out=out,
        workspace=workspace(size),
        stream=stream(),
    )
    for image in range(2):
        expected = _native.multiclass_nms(
            boxes[image], scores[image], **native_options(options), **choice
        )
        found = [array[image] for array in out[:3]]
        if difference := same(expected, found, int(out.counts[image])):
            return f"image {image}: {difference}"
    return ""


def check_postprocess(
    rng: np.random.Generator, count: int, classes: int, options: dict, **choices: object
) -> str:
    """Raw outputs of two images."""
    background = choices.get("background_column", False)
    per_row = classes if choices.pop("box_per_class", False) else 1
    proposals = choices.pop("proposals", False)
    masks_per_row = choices.pop("masks_per_row", 0)
    logits = (np.round(8 * rng.normal(-2, 3, (2, count, classes + background))) / 8).astype(
        np.float32
    )
    encodings = rng.normal(0, 2, (2, count, per_row, 4)).astype(np.float32)
    anchors = random_boxes(rng, 2, count)
    anchors[~np.isfinite(anchors)] = 1
    rows = np.array([count, count * 3 // 4], np.int32)
    windows = np.array([[1, 1], [0.6, 0.8]], np.float32)
    keywords = {
        "scale_factors": SCALES,
        "score_converter": "sigmoid",
        "logit_scale": 1.0,
        "background_column": False,
        "class_agnostic": False,
        **native_options(options),
        **choices,
    }
    mask_logits = (
        rng.normal(0, 4, (2, count, masks_per_row, 5, 7)).astype(np.float32)
        if masks_per_row
        else None
    )
    total = options["total"]
    out = cuda.DetectionArrays(
        poisoned(2, total, 4, dtype=torch.float32),
        poisoned(2, total, dtype=torch.float32),
        poisoned(2, total, dtype=torch.int32),
        poisoned(2, total, dtype=torch.int64),
        poisoned(2, dtype=torch.int32),
        poisoned(2, total, 5, 7, dtype=torch.float32) if masks_per_row else None,
    )
    inputs = [on_gpu(logits), on_gpu(encodings), on_gpu(anchors if proposals else anchors[0])]
    on_device = {
        "mask_logits": on_gpu(mask_logits) if masks_per_row else None,
        "windows": on_gpu(windows),
        "counts": on_gpu(rows) if proposals else None,
        "stream": stream(),
        **keywords,
    }
    size = cuda.postprocess(*inputs, out=None, workspace=None, **on_device)
    cuda.postprocess(*inputs, out=out, workspace=workspace(size), **on_device)
    expected = _native.postprocess(
        logits,
        encodings,
        anchors if proposals else anchors[0],
        mask_logits=mask_logits,
        counts=rows if proposals else np.full(2, count, np.int32),
        windows=windows,
        **keywords,
        threads=1,
    )
    for image in range(2):
        written = [out.boxes, out.scores, out.classes, out.rows]
        if masks_per_row:
            written.append(out.masks)
        found = [array[image] for array in written]
        wanted = expected[image][: len(found)]
        if difference := same(wanted, found, int(out.counts[image])):
            return f"image {image}: {difference}"
    return ""


def check_preprocess(
    rng: np.random.Generator, size: tuple[int, int], nv12: bool, layout: str, dtype: str
) -> str:
    """One picture, rows of which are further apart than they are long."""
    height, width = size
    resized, side = (13, 20), (17, 24)
    keywords = {
        "mean": (123.68, 116.779, 103.939),
        "scale": (1.0, 0.5, 2.0),
        "pad_value": (-1.0, 300.0, 7.5),
        "layout": layout,
        "dtype": dtype,
    }
    shape = (*side, 3) if layout == "NHWC" else (3, *side)
    if nv12:
        planes = [
            rng.integers(0, 256, (height, width + 5), np.uint8)[:, :width],
            rng.integers(0, 256, ((height + 1) // 2, (width + 1) // 2 + 3, 2), np.uint8)[
                :, : (width + 1) // 2
            ],
        ]
        image = SimpleNamespace(planes=planes, matrix="bt709", full_range=False)
        colour = {"matrix": "bt709", "full_range": False}
    else:
        planes = [rng.integers(0, 256, (height, width + 4, 3), np.uint8)[:, :width]]
        image, colour = planes[0], {}
    bits = {"float32": np.float32, "bfloat16": np.uint16, "uint8": np.uint8}[dtype]
    expected = np.empty((1, *shape), bits)
    _native.preprocess([image], resized=[resized], out=expected, threads=1, **keywords)
    tensors = []
    for plane in planes:
        whole = on_gpu(plane.base if plane.base is not None else plane)
        tensors.append(whole[:, : plane.shape[1]])
    out = torch.empty(shape, dtype=getattr(torch, dtype), device="cuda")
    cuda.preprocess(tensors, resized=resized, out=out, stream=stream(), **keywords, **colour)
    found = out.view(torch.uint8).cpu().numpy().tobytes()
    return "" if found == expected[0].tobytes() else "pixels differ"


def random_atlas(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Glyphs for "a" to "h" and what is unknown, and their coverage."""
    coverage = rng.integers(0, 256, 400, np.uint8)
    glyphs = np.zeros((9, 7), np.int32)
    glyphs[:, 0] = [-1, *range(ord("a"), ord("i"))]
    glyphs[:, 1:3] = rng.integers(-2, 3, (9, 2))
    glyphs[:, 3:5] = rng.integers(0, 12, (9, 2))
    glyphs[:, 5] = rng.integers(-1, 12, 9)
    glyphs[:, 6] = rng.integers(0, 400 - 11 * 11, 9)
    return glyphs, coverage


def check_annotate(
    rng: np.random.Generator, size: tuple[int, int], objects: int, masks: bool, trails: bool
) -> str:
    """A picture of noise, rows of which are further apart than they are long."""
    height, width = size
    shapes = [(height, width + 5), ((height + 1) // 2, (width + 1) // 2 + 3, 2)]
    before = [rng.integers(0, 256, shape, np.uint8) for shape in shapes]
    sides = np.float32((height, width))
    corners = rng.uniform(-0.2, 1, (objects, 2)).astype(np.float32) * sides
    away = rng.uniform(-0.02, 0.5, (objects, 2)).astype(np.float32) * sides
    boxes = np.concatenate([corners, corners + away], axis=1)
    lengths = rng.integers(0, 9, objects)
    labels = rng.integers(ord("a"), ord("k"), (objects, 8)).astype(np.int32)
    labels[np.arange(8) >= lengths[:, None]] = 0
    drawn = objects - objects // 4
    colours, text_colours = (rng.integers(0, 256, (objects, 3), np.uint8) for _ in range(2))
    mask = rng.uniform(size=(objects, height, width)) < 0.3 if masks else None
    ends = np.cumsum(rng.integers(0, 12, objects)).astype(np.int64)
    points = rng.uniform(-0.2, 1.2, (int(ends[-1]), 2)).astype(np.float32) * sides
    if not trails:
        points, ends = points[:0], ends * 0
    glyphs, coverage = random_atlas(rng)
    style = Style(0, *(int(value) for value in rng.integers(1, 5, 3)), 200, 115)
    luma_weights = (0.2126, 0.0722)
    columns = [width, (width + 1) // 2]
    expected = [plane.copy() for plane in before]
    _native.annotate(
        [plane[:, :count] for plane, count in zip(expected, columns, strict=True)],
        luma_weights=luma_weights,
        full_range=False,
        boxes=boxes[:drawn],
        colours=colours[:drawn],
        text_colours=text_colours[:drawn],
        labels=["".join(map(chr, row[row > 0])) for row in labels[:drawn]],
        masks=mask[:drawn] if masks else None,
        trail_points=points,
        trail_ends=ends[:drawn],
        glyphs=glyphs,
        coverage=coverage,
        line_height=14,
        line_width=style.line_width,
        trail_width=style.trail_width,
        margin=style.margin,
        opacity=style.opacity,
        mask_opacity=style.mask_opacity,
    )
    found = [on_gpu(plane) for plane in before]
    cuda.annotate(
        [plane[:, :count] for plane, count in zip(found, columns, strict=True)],
        luma_weights=luma_weights,
        boxes=on_gpu(boxes),
        count=on_gpu(np.array([drawn], np.int32)),
        colours=on_gpu(colours),
        text_colours=on_gpu(text_colours),
        labels=on_gpu(labels),
        masks=on_gpu(mask) if masks else None,
        trail_points=on_gpu(points) if trails else None,
        trail_ends=on_gpu(ends) if trails else None,
        glyphs=on_gpu(glyphs),
        coverage=on_gpu(coverage),
        line_height=14,
        style=style,
        workspace=workspace(cuda.annotate_workspace_bytes(objects, 8)),
        stream=stream(),
    )
    if np.array_equal(expected[0], before[0]):
        return "nothing was drawn"
    for name, want, tensor in zip(("luma", "chroma"), expected, found, strict=True):
        differing = int((want != tensor.cpu().numpy()).sum())
        if differing:
            return f"{differing} bytes of {name} differ"
    return ""


def check_other_stream(rng: np.random.Generator, options: dict) -> str:
    """On a stream of its own."""
    other = torch.cuda.Stream()
    other.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(other):
        return check_nms(rng, 500, 3, options)


def check_graph(rng: np.random.Generator, options: dict) -> str:
    """Captured once, replayed on other inputs."""
    total = 200
    options = options | {"total": total}
    boxes, scores = torch.empty((300, 4), device="cuda"), torch.empty(300, device="cuda")
    out = selections(total, counts=1)
    buffer = workspace(cuda.nms_workspace_bytes(300, **limits(options)))

    def call() -> None:
        cuda.nms(
            boxes,
            scores,
            **native_options(options),
            out=out,
            workspace=buffer,
            stream=torch.cuda.current_stream(),
        )

    def fill() -> tuple[np.ndarray, np.ndarray]:
        arrays = random_boxes(rng, 300), random_scores(rng, 300, levels=200)
        boxes.copy_(on_gpu(arrays[0]))
        scores.copy_(on_gpu(arrays[1]))
        for array in out:
            array.fill_(POISON)
        torch.cuda.synchronize()
        return arrays

    fill()
    call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    for _ in range(3):
        arrays = fill()
        graph.replay()
        torch.cuda.synchronize()
        expected = _native.batched_nms(*arrays, np.zeros(300, np.int32), **native_options(options))
        if difference := same(expected, list(out[:3]), int(out.counts)):
            return difference
    return ""


def check_no_waiting(rng: np.random.Generator, options: dict) -> str:
    """The call is back while the stream is still busy with what came before."""
    boxes, scores = on_gpu(random_boxes(rng, 2000)), on_gpu(rng.uniform(size=2000).astype("f4"))
    out = selections(1000, counts=1)
    buffer = workspace(cuda.nms_workspace_bytes(2000, **limits(options)))
    for attempt in range(2):  # The first call loads the kernels, which may wait.
        torch.cuda.synchronize()
        torch.cuda._sleep(2_000_000_000)
        busy = torch.cuda.Event()
        busy.record()
        cuda.nms(
            boxes,
            scores,
            **native_options(options),
            out=out,
            workspace=buffer,
            stream=stream(),
        )
        waited = busy.query()
        torch.cuda.synchronize()
        if attempt and waited:
            return "the call waited for the stream"
    return ""
