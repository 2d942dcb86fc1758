"""Pictures in, annotated pictures out."""

import collections
import contextlib
import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from roadmark.atomic import atomic_path
from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.ops import annotate
from roadmark.progress import Meter, track
from roadmark.video.detections_file import DetectionsFile
from roadmark.video.frame_detector import Detect
from roadmark.video.partial import Report, print_report, refusing_disk, whole_or_partial

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_JPEG_QUALITY = 92
_NAMED_FAILURES = 5


@dataclasses.dataclass(frozen=True)
class ImagesResult:
    """What came of a set of pictures.

    Attributes:
        images: Pictures written.
        objects: Number of detections by class name.
    """

    images: int
    objects: collections.Counter[str]


def find_images(source: str | Path, out: str | Path) -> list[Path]:
    """The pictures in a folder and its subfolders, sorted, or the one picture given.

    Args:
        source: The folder or picture.
        out: What will be written; an earlier run may have left it inside the source.

    Raises:
        UserError: There is none, or `out` is `source`.
    """
    source, out = Path(source), Path(out).resolve()
    kinds = ", ".join(SUFFIXES)
    if not source.exists():
        raise UserError(source, "no such folder or picture", "check the path given to --images")
    if source.resolve() == out:
        raise UserError(out, "would replace the pictures themselves", "give another --out")
    if source.is_file():
        if source.suffix.lower() not in SUFFIXES:
            raise UserError(
                source,
                f"is not a picture of a known type ({kinds})",
                f"give a video as --video={source}",
            )
        return [source]
    found = [path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES]
    visible = [path for path in found if not _is_hidden(path.relative_to(source))]
    visible = [path for path in visible if out not in path.resolve().parents]
    if not visible:
        raise UserError(source, f"holds no pictures ({kinds})", "give another folder to --images")
    return sorted(visible)


def annotate_images(
    source: str | Path,
    out: str | Path,
    detect: Detect,
    names: Mapping[int, str],
    detections: str | Path | None = None,
    batch_size: int = 1,
    report: Report = print_report,
) -> ImagesResult:
    """Draws what `detect` finds on pictures, upright as their EXIF orientation says.

    A picture that cannot be read is left out; the others are written all the same, and the
    error at the end names it.

    Args:
        source: A folder, searched with its subfolders, or one picture.
        out: For a folder: the folder to write to, with the same names inside. For one picture:
            the file to write.
        detect: Finds the objects in a batch of pictures, which may differ in size.
        names: Class name by id.
        detections: Also writes all detections here, .json or .csv (see `DetectionsFile`).
        batch_size: Pictures per call of `detect`.
        report: Takes notices for the user.

    Returns:
        Counts of what was written.

    Raises:
        UserError: There are no pictures, `out` is `source` or cannot be written, or some pictures
            could not be read.
    """
    source, out = Path(source), Path(out)
    paths = find_images(source, out)
    targets = _targets(source, out, paths)
    failures: list[str] = []
    listings = [] if detections is None else [Path(detections)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(refusing_disk(out))
        temporary = stack.enter_context(whole_or_partial(listings, report))
        files = [stack.enter_context(DetectionsFile(path, names)) for path in temporary]
        meter = stack.enter_context(track("annotating", len(paths), "pictures"))
        output = _Output(source, targets, names, files, meter)
        readable = _readable(paths, failures)
        while batch := list(itertools.islice(readable, batch_size)):
            found = detect([image for _, image in batch])
            for (path, image), one in zip(batch, found, strict=True):
                output.add(path, image, one)
    if failures:
        raise _unread(source, out, failures, len(paths))
    return ImagesResult(output.images, output.objects)


@dataclasses.dataclass
class _Output:
    """Where the pictures of one call go."""

    source: Path
    targets: Mapping[Path, Path]
    names: Mapping[int, str]
    listings: list[DetectionsFile]
    meter: Meter
    images: int = 0
    objects: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    def add(self, path: Path, image: np.ndarray, found: Detections) -> None:
        annotate.draw(image, found, self.names)
        _save(image, self.targets[path])
        name = path.name if self.source.is_file() else path.relative_to(self.source).as_posix()
        for listing in self.listings:
            listing.add(name, image.shape[:2], found)
        self.objects.update(annotate.class_name(self.names, id_) for id_ in found.classes)
        self.images += 1
        self.meter.advance()


def read_image(path: Path) -> np.ndarray:
    """A picture as uint8 `[H, W, 3]` RGB, turned upright by its EXIF orientation.

    Raises:
        UserError: It cannot be decoded, or not whole.
    """
    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture)
            if upright.mode.startswith("I"):
                # 16 bits per sample, which Pillow would cut off at 255.
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            return np.array(upright.convert("RGB"))
    except UnidentifiedImageError:
        problem = "is not a picture"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        problem = f"cannot be decoded ({error})"
    raise UserError(path, problem, "replace or remove it")


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _targets(source: Path, out: Path, paths: list[Path]) -> dict[Path, Path]:
    if not source.is_file():
        return {path: out / path.relative_to(source) for path in paths}
    if out.suffix.lower() not in SUFFIXES:
        kinds = ", ".join(SUFFIXES)
        raise UserError(out, "is not the name of a picture", f"end it in one of {kinds}")
    return {source: out}


def _readable(paths: list[Path], failures: list[str]) -> Iterator[tuple[Path, np.ndarray]]:
    for path in paths:
        try:
            yield path, read_image(path)
        except UserError as error:
            failures.append(f"{path.name} {error.problem}")


def _save(image: np.ndarray, path: Path) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, quality=_JPEG_QUALITY)


def _unread(source: Path, out: Path, failures: list[str], total: int) -> UserError:
    shown = ", ".join(failures[:_NAMED_FAILURES])
    more = len(failures) - _NAMED_FAILURES
    if more > 0:
        shown += f" and {more} more"
    others = f"the others are in {out}; " if len(failures) < total else ""
    return UserError(
        source,
        f"{len(failures)} of {total} pictures could not be read: {shown}",
        f"{others}replace or remove these",
    )
