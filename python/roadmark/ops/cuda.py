"""The operations on arrays in CUDA memory: the results of their CPU versions, bit for bit.

Where an array is expected, anything with DLPack or `__cuda_array_interface__` will do: tensors of
PyTorch, arrays of CuPy. They are used in place; none is copied, and none is allocated: outputs and
a workspace (uint8, as large as the `_workspace_bytes` function says, aligned to 256 bytes as
allocators do) come from the caller. `stream` is PyTorch's or CuPy's stream or its handle; 0 is the
default stream. The work is put on that stream, where the arrays have to be ready, and the call
returns at once: it neither waits for the GPU nor copies to the host, so it may be captured in a
CUDA graph, and arrays must stay alive until the stream has got that far.

Functions raise ValueError, naming the argument, for another shape, dtype, layout or device, and
RuntimeError when CUDA refuses a launch. Values cannot be looked at without waiting: a NaN box
overlaps nothing, and a class out of range does not count.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from roadmark.ops.drawing_style import Style

try:
    from roadmark.ops import _cuda
except ImportError as error:
    raise ImportError(
        "roadmark.ops.cuda: found no CUDA extension, expected one built where nvcc is found; "
        "install CUDA's compiler (11.8 or later) and build again"
    ) from error

# Whatever has DLPack or __cuda_array_interface__.
DeviceArray = Any
Stream = Any


class Selections(NamedTuple):
    """What suppression writes, `[..., max_total]`; entries beyond the count stay as they were."""

    indices: DeviceArray  # int64
    classes: DeviceArray  # int32
    scores: DeviceArray  # float32, best first
    counts: DeviceArray  # int32 [images]; [1] for `nms`


class DetectionArrays(NamedTuple):
    """What post-processing writes; entries beyond the count stay as they were."""

    boxes: DeviceArray  # float32 [images, max_total, 4], normalised to the picture
    scores: DeviceArray  # float32 [images, max_total], best first
    classes: DeviceArray  # int32 [images, max_total], from 0, without the background
    rows: DeviceArray  # int64 [images, max_total], of the raw outputs
    counts: DeviceArray  # int32 [images]
    # float32 [images, max_total, mask height, mask width], probabilities; with mask logits only.
    masks: DeviceArray | None = None


def encode(
    boxes: DeviceArray,
    anchors: DeviceArray,
    scale_factors: tuple[float, float, float, float],
    *,
    out: DeviceArray,
    stream: Stream,
) -> None:
    """As `roadmark.ops.box_coder.encode`, of float32 `[N, 4]`, into `out`."""
    _cuda.encode_boxes(boxes, anchors, scale_factors, out=out, stream=stream)


def decode(
    encodings: DeviceArray,
    anchors: DeviceArray,
    scale_factors: tuple[float, float, float, float],
    *,
    out: DeviceArray,
    stream: Stream,
) -> None:
    """As `roadmark.ops.box_coder.decode`, of float32 `[N, 4]`, into `out`."""
    _cuda.decode_boxes(encodings, anchors, scale_factors, out=out, stream=stream)


def nms_workspace_bytes(
    count: int,
    num_classes: int = 1,
    *,
    max_per_class: int,
    max_total: int,
    soft_nms_sigma: float = 0.0,
) -> int:
    """Bytes of workspace that `nms` needs for `count` boxes."""
    return _cuda.nms_workspace_bytes(
        count,
        num_classes,
        max_per_class=max_per_class,
        max_total=max_total,
        soft_nms_sigma=soft_nms_sigma,
    )


def nms(
    boxes: DeviceArray,
    scores: DeviceArray,
    classes: DeviceArray | None = None,
    *,
    num_classes: int = 1,
    score_threshold: float,
    iou_threshold: float,
    max_per_class: int,
    max_total: int,
    soft_nms_sigma: float = 0.0,
    out: Selections,
    workspace: DeviceArray,
    stream: Stream,
) -> None:
    """As `roadmark.ops.nms.batched_nms`, or without classes `roadmark.ops.nms.nms`.

    Args:
        boxes: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]`, normalised or pixels.
        scores: float32 `[N]`.
        classes: int32 `[N]`, 0 up to `num_classes`; None: all boxes are of one class.
        num_classes: Boxes of other classes do not count.
        score_threshold: Boxes with this score or less are dropped.
        iou_threshold: A box that overlaps a kept one by more than this is dropped.
        max_per_class: Limit per class.
        max_total: Limit in all; the length of the outputs.
        soft_nms_sigma: Above 0, scores decay instead.
        out: Arrays of `[max_total]`.
        workspace: See `nms_workspace_bytes`.
        stream: See the module.
    """
    _cuda.nms(
        boxes,
        scores,
        classes,
        num_classes=num_classes,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_per_class=max_per_class,
        max_total=max_total,
        soft_nms_sigma=soft_nms_sigma,
        out=out,
        workspace=workspace,
        stream=stream,
    )


def multiclass_nms_workspace_bytes(
    images: int,
    count: int,
    num_classes: int,
    *,
    class_agnostic: bool = False,
    max_per_class: int,
    max_total: int,
    soft_nms_sigma: float = 0.0,
) -> int:
    """Bytes of workspace that `multiclass_nms` needs."""
    return _cuda.multiclass_nms_workspace_bytes(
        images,
        count,
        num_classes,
        class_agnostic=class_agnostic,
        max_per_class=max_per_class,
        max_total=max_total,
        soft_nms_sigma=soft_nms_sigma,
    )


def multiclass_nms(
    boxes: DeviceArray,
    scores: DeviceArray,
    *,
    score_threshold: float,
    iou_threshold: float,
    max_per_class: int,
    max_total: int,
    class_agnostic: bool = False,
    max_candidates: int = 0,
    soft_nms_sigma: float = 0.0,
    out: Selections,
    workspace: DeviceArray,
    stream: Stream,
) -> None:
    """As `roadmark.ops.nms.multiclass_nms`, for a batch of images.

    Args:
        boxes: float32 `[images, N, 4]`, or `[images, N, C, 4]` with a box per class.
        scores: float32 `[images, N, C]`.
        score_threshold: As for `nms`.
        iou_threshold: As for `nms`.
        max_per_class: Limit per class and image; plays no part when class-agnostic.
        max_total: Limit per image; the length of the outputs.
        class_agnostic: Each box stands for its best class only and suppresses those of others.
        max_candidates: Above 0, only so many of an image's best pairs of box and class take part.
        soft_nms_sigma: As for `nms`.
        out: Arrays of `[images, max_total]`.
        workspace: See `multiclass_nms_workspace_bytes`.
        stream: See the module.
    """
    _cuda.multiclass_nms(
        boxes,
        scores,
        class_agnostic=class_agnostic,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_per_class=max_per_class,
        max_total=max_total,
        max_candidates=max_candidates,
        soft_nms_sigma=soft_nms_sigma,
        out=out,
        workspace=workspace,
        stream=stream,
    )


def postprocess(
    class_logits: DeviceArray,
    box_encodings: DeviceArray,
    anchors: DeviceArray,
    *,
    mask_logits: DeviceArray | None = None,
    windows: DeviceArray,
    counts: DeviceArray | None = None,
    scale_factors: tuple[float, float, float, float],
    score_converter: str,
    logit_scale: float = 1.0,
    background_column: bool = False,
    class_agnostic: bool = False,
    score_threshold: float,
    iou_threshold: float,
    max_per_class: int,
    max_total: int,
    soft_nms_sigma: float = 0.0,
    out: DetectionArrays | None,
    workspace: DeviceArray | None,
    stream: Stream,
) -> int:
    """From raw outputs to final boxes, as `roadmark.ops.postprocess.postprocess`.

    Masks come as probabilities within their boxes; `roadmark.ops.postprocess.paste_masks` puts
    them into the picture, on the CPU.

    Args:
        class_logits: float32 `[images, N, C]`, or `[images, N, C + 1]` with a background column.
        box_encodings: float32 `[images, N, 1 or C, 4]`.
        anchors: float32 `[N, 4]`, or proposals `[images, N, 4]`, normalised to the network's input.
        mask_logits: float32 `[images, N, 1 or C, mask height, mask width]`: of a row's mask, or of
            each class's; None: there are no masks.
        windows: float32 `[images, 2]`: height and width of the picture's share of the input.
        counts: int32 `[images]`: rows from there on do not count; None: all do.
        scale_factors: Of the box coder: y, x, height and width.
        score_converter: `identity`, `sigmoid` or `softmax`.
        logit_scale: Logits are divided by it first.
        background_column: Column 0 is no class.
        class_agnostic: Each box has its best class only.
        score_threshold: As for `nms`.
        iou_threshold: As for `nms`.
        max_per_class: As for `multiclass_nms`.
        max_total: As for `multiclass_nms`.
        soft_nms_sigma: As for `nms`.
        out: Arrays to write into; None: only say how much workspace is needed.
        workspace: As large as a call without `out` says; None with `out` None.
        stream: See the module.

    Returns:
        Bytes of workspace that these arguments need.
    """
    return _cuda.postprocess(
        class_logits,
        box_encodings,
        anchors,
        mask_logits=mask_logits,
        windows=windows,
        counts=counts,
        scale_factors=scale_factors,
        score_converter=score_converter,
        logit_scale=logit_scale,
        background_column=background_column,
        class_agnostic=class_agnostic,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_per_class=max_per_class,
        max_total=max_total,
        soft_nms_sigma=soft_nms_sigma,
        out=out,
        workspace=workspace,
        stream=stream,
    )


def preprocess(
    planes: Sequence[DeviceArray],
    *,
    resized: tuple[int, int],
    mean: tuple[float, float, float],
    scale: tuple[float, float, float],
    pad_value: tuple[float, float, float],
    matrix: str = "bt601",
    full_range: bool = False,
    layout: str = "NHWC",
    dtype: str = "float32",
    out: DeviceArray,
    stream: Stream,
) -> None:
    """Resizes, normalises and pads one picture, as `roadmark.ops.preprocess.preprocess`.

    Args:
        planes: One plane of RGB, uint8 `[H, W, 3]`; or NV12's two, uint8 `[H, W]` and
            `[ceil(H / 2), ceil(W / 2), 2]`. Rows may be any distance apart.
        resized: Height and width of the picture inside the network's input.
        mean: A channel becomes `(value - mean) * scale`.
        scale: See `mean`.
        pad_value: Of channels right of and below the picture.
        matrix: Of NV12: `bt601` or `bt709`.
        full_range: Of NV12: luma and chroma use all of 0 to 255.
        layout: `NHWC` or `NCHW`.
        dtype: Of `out`: `float32`, `bfloat16` or `uint8`.
        out: `[height, width, 3]` or, for NCHW, `[3, height, width]`.
        stream: See the module.
    """
    _cuda.preprocess(
        tuple(planes),
        matrix=matrix,
        full_range=full_range,
        resized=resized,
        mean=mean,
        scale=scale,
        pad_value=pad_value,
        layout=layout,
        dtype=dtype,
        out=out,
        stream=stream,
    )


def annotate_workspace_bytes(capacity: int, label_length: int) -> int:
    """Bytes of workspace that `annotate` needs for arrays of so many objects and characters."""
    return _cuda.annotate_workspace_bytes(capacity, label_length)


def annotate(
    planes: Sequence[DeviceArray],
    *,
    luma_weights: tuple[float, float],
    full_range: bool = False,
    boxes: DeviceArray,
    count: DeviceArray | None = None,
    colours: DeviceArray,
    text_colours: DeviceArray,
    labels: DeviceArray,
    masks: DeviceArray | None = None,
    trail_points: DeviceArray | None = None,
    trail_ends: DeviceArray | None = None,
    glyphs: DeviceArray,
    coverage: DeviceArray,
    line_height: int,
    style: Style,
    workspace: DeviceArray,
    stream: Stream,
) -> None:
    """Draws on an NV12 picture in place, as `roadmark.ops.annotate.draw_boxes` does.

    Only samples that change are written. What `postprocess` has written can be drawn without a look
    at it: `count` is one of its counts, and labels may be gathered from a table of class names in
    GPU memory, `names[classes]`.

    Args:
        planes: NV12's two, uint8 `[H, W]` and `[ceil(H / 2), ceil(W / 2), 2]`, writeable. Rows may
            be any distance apart.
        luma_weights: As of `roadmark.ops.annotate.Yuv420`.
        full_range: Whether Y runs from 0 to 255 instead of 16 to 235.
        boxes: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]` in pixels, best first: on top. A box
            with NaN has neither frame nor tag.
        count: int32 `[1]`: objects from there on are not drawn; None: all are.
        colours: uint8 `[N, 3]`, RGB of frames, tags, masks and trails.
        text_colours: uint8 `[N, 3]`, RGB.
        labels: int32 `[N, L]`, code points up to the first 0 (`glyph_atlas.code_points`).
        masks: bool `[N, H, W]`.
        trail_points: float32 `[P, 2]`, y and x in pixels, the oldest of each object first.
        trail_ends: int64 `[N]`: where the points of each object end.
        glyphs: A copy of the first array of `GlyphAtlas.arrays`.
        coverage: A copy of the second.
        line_height: The atlas'.
        style: `roadmark.ops.drawing_style.style_of` gives that of `draw_boxes`.
        workspace: See `annotate_workspace_bytes`.
        stream: See the module.
    """
    _cuda.annotate(
        tuple(planes),
        luma_weights=luma_weights,
        full_range=full_range,
        boxes=boxes,
        count=count,
        colours=colours,
        text_colours=text_colours,
        labels=labels,
        masks=masks,
        trail_points=trail_points,
        trail_ends=trail_ends,
        glyphs=glyphs,
        coverage=coverage,
        line_height=line_height,
        line_width=style.line_width,
        trail_width=style.trail_width,
        margin=style.margin,
        opacity=style.opacity,
        mask_opacity=style.mask_opacity,
        workspace=workspace,
        stream=stream,
    )
