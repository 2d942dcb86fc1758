"""Frames in a GPU's memory: NV12 surfaces, and how they are drawn on."""

import collections
import dataclasses
import weakref

import numpy as np

from roadmark.inference import device_memory
from roadmark.inference.device_memory import Array, Stream
from roadmark.ops import annotate, glyph_atlas
from roadmark.ops.drawing_style import Style
from roadmark.video.colour import Colour
from roadmark.video.reader import Frame


@dataclasses.dataclass(frozen=True)
class Plane:
    """A plane of a surface, as CUDA's array interface (version 3) describes it."""

    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        return {
            "version": 3,
            "typestr": "|u1",
            "shape": self.shape,
            "strides": self.strides,
            "data": (self.pointer, False),
        }


class Surface:
    """An NV12 picture on the GPU, whose memory is used again when nobody holds it.

    Attributes:
        width: In pixels; even.
        height: In pixels; even.
        planes: Luma `[H, W]`, and chroma `[H / 2, W / 2, 2]`.
        marks: Holds what is drawn on it.
    """

    def __init__(self, memory: Array, width: int, height: int, marks: "MarkStore") -> None:
        self.width, self.height, self.marks = width, height, marks
        luma, chroma = memory.pointer, memory.pointer + width * height
        self.planes = (
            Plane(luma, (height, width), (width, 1)),
            Plane(chroma, (height // 2, width // 2, 2), (width, 2, 1)),
        )

    def cuda(self) -> list[Plane]:
        """The planes as PyNvVideoCodec's encoder takes them: luma with an axis more."""
        luma, chroma = self.planes
        return [Plane(luma.pointer, (*luma.shape, 1), (*luma.strides, 1)), chroma]


class SurfacePool:
    """Gives surfaces of one size; may be used from several threads."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._marks = MarkStore()
        self._free: collections.deque[Array] = collections.deque()

    def take(self) -> Surface:
        """A surface with any content."""
        width, height = self._size
        try:
            memory = self._free.popleft()
        except IndexError:
            memory = device_memory.allocate((height * 3 // 2, width), np.uint8)
        surface = Surface(memory, width, height, self._marks)
        weakref.finalize(surface, self._free.append, memory)
        return surface

    def give_back(self, surface: Surface) -> None:
        """Does nothing: the encoder may still read it, and lets go when it has."""


class GpuFrame(Frame):
    """A frame whose `yuv` is a `Surface`."""

    @property
    def canvas(self) -> annotate.Canvas:
        """See `Frame.canvas`."""
        return SurfaceCanvas(self.yuv, self.colour)


class MarkStore:
    """Copies of what is drawn, in memory of the GPU that is used again; of one thread."""

    def __init__(self) -> None:
        self._stream: Stream | None = None
        self._arrays: dict[str, Array] = {}

    @property
    def stream(self) -> Stream:
        """The stream on which is drawn."""
        self._stream = self._stream or Stream()
        return self._stream

    def put(self, name: str, values: np.ndarray) -> Array:
        """A copy of an array, until the next of that name."""
        target = self.room(name, values.nbytes)
        self.stream.upload(np.ascontiguousarray(values), target)
        return Array(values.shape, values.dtype, target.pointer, target)

    def room(self, name: str, size: int) -> Array:
        """At least so many bytes."""
        known = self._arrays.get(name)
        if known is None or known.nbytes < size:
            self._arrays[name] = device_memory.allocate((max(256, 2 * size),), np.uint8)
        return self._arrays[name]


class SurfaceCanvas(annotate.Canvas):
    """Draws on a surface in place, and waits until it is done."""

    def __init__(self, surface: Surface, colour: Colour) -> None:
        self.size = (surface.height, surface.width)
        self._surface, self._colour = surface, colour

    def annotate(
        self,
        *,
        labels: list[str],
        masks: np.ndarray | None,
        line_height: int,
        line_width: int,
        trail_width: int,
        margin: int,
        opacity: int,
        mask_opacity: int,
        **arrays: np.ndarray,
    ) -> None:
        """See `Canvas.annotate`."""
        from roadmark.ops import cuda

        if not len(arrays["boxes"]):
            return
        if masks is not None:
            raise ValueError("masks: found some, expected none on a GPU")
        characters = max(1, *map(len, labels))
        arrays["labels"] = glyph_atlas.code_points(labels, characters)
        marks = self._surface.marks
        on_device = {name: marks.put(name, values) for name, values in arrays.items()}
        size = cuda.annotate_workspace_bytes(len(labels), characters)
        cuda.annotate(
            self._surface.planes,
            luma_weights=self._colour.luma_weights,
            full_range=self._colour.full_range,
            line_height=line_height,
            style=Style(0, line_width, trail_width, margin, opacity, mask_opacity),
            workspace=marks.room("workspace", size),
            stream=marks.stream.handle,
            **on_device,
        )
        marks.stream.wait()
