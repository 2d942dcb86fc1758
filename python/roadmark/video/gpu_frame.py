"""Frames in a GPU's memory: NV12 surfaces, and how they are drawn on."""

import collections
import dataclasses
import weakref
from typing import Any

import numpy as np

from roadmark.inference.cuda_runtime import Cuda, DeviceArray, nv12_planes
from roadmark.ops import annotate, glyph_atlas
from roadmark.ops.drawing_style import Style
from roadmark.video.colour import Colour
from roadmark.video.reader import Frame


@dataclasses.dataclass(frozen=True)
class _Plane:
    """A plane as PyNvVideoCodec's samples describe it, with all strides."""

    __cuda_array_interface__: dict[str, Any]


class Surface:
    """An NV12 picture on the GPU, whose memory is used again when nobody holds it.

    Attributes:
        memory: uint8 `[H * 3 / 2, W]`.
        width: In pixels; even.
        height: In pixels; even.
        pool: Where it is from.
    """

    def __init__(self, memory: DeviceArray, pool: "SurfacePool") -> None:
        self.memory, self.pool = memory, pool
        rows, self.width = memory.shape
        self.height = rows * 2 // 3

    def cuda(self) -> list[_Plane]:
        """The planes as PyNvVideoCodec's encoder takes them: luma with an axis more."""
        luma, chroma = (plane.__cuda_array_interface__ for plane in nv12_planes(self.memory))
        shape, width = luma["shape"], self.width
        return [
            _Plane(luma | {"shape": (*shape, 1), "strides": (width, 1, 1)}),
            _Plane(chroma | {"strides": (width, 2, 1)}),
        ]


class SurfacePool:
    """Gives surfaces of one size, and has what drawing on them needs.

    Surfaces may be asked for from several threads; drawing is for one.

    Args:
        width: In pixels; even.
        height: In pixels; even.

    Attributes:
        cuda: The runtime.
        stream: Where is drawn.
    """

    def __init__(self, width: int, height: int) -> None:
        self.cuda = Cuda()
        self.stream = self.cuda.stream()
        self._shape = (height * 3 // 2, width)
        self._free: collections.deque[DeviceArray] = collections.deque()
        self._rooms: dict[str, DeviceArray] = {}

    def take(self) -> Surface:
        """A surface with any content."""
        try:
            memory = self._free.popleft()
        except IndexError:
            memory = self.cuda.array(self._shape, np.uint8)
        surface = Surface(memory, self)
        weakref.finalize(surface, self._free.append, memory)
        return surface

    def give_back(self, surface: Surface) -> None:
        """Does nothing: the encoder may still read it, and lets go when it has."""

    def room(self, name: str, size: int) -> DeviceArray:
        """At least so many bytes, which are used again."""
        known = self._rooms.get(name)
        if known is None or known.bytes < size:
            known = self._rooms[name] = self.cuda.array((max(256, 2 * size),), np.uint8)
        return known

    def copied(self, name: str, values: np.ndarray) -> DeviceArray:
        """A copy of an array, until the next of that name."""
        room = self.room(name, values.nbytes)
        target = DeviceArray(room.pointer, values.shape, values.dtype)
        if values.size:
            self.cuda.copy_in(target, np.ascontiguousarray(values), self.stream)
        return target


class GpuFrame(Frame):
    """A frame whose `yuv` is a `Surface`."""

    @property
    def canvas(self) -> annotate.Canvas:
        """See `Frame.canvas`."""
        return SurfaceCanvas(self.yuv, self.colour)


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
        """See `Canvas.annotate`; there are no masks."""
        from roadmark.ops import cuda

        if masks is not None:
            raise ValueError("masks: found some, expected none on a GPU")
        if not labels:
            return
        pool, characters = self._surface.pool, max(1, *map(len, labels))
        arrays["labels"] = glyph_atlas.code_points(labels, characters)
        size = cuda.annotate_workspace_bytes(len(labels), characters)
        cuda.annotate(
            nv12_planes(self._surface.memory),
            luma_weights=self._colour.luma_weights,
            full_range=self._colour.full_range,
            line_height=line_height,
            style=Style(0, line_width, trail_width, margin, opacity, mask_opacity),
            workspace=pool.room("workspace", size),
            stream=int(pool.stream),
            **{name: pool.copied(name, values) for name, values in arrays.items()},
        )
        pool.cuda.synchronise(pool.stream)
