"""`prepare`: a data set in, sharded records with a label map and a dataset card out."""

import contextlib
import dataclasses
import itertools
import multiprocessing
import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from roadmark import progress
from roadmark.atomic import atomic_folder
from roadmark.data import dataset_card, example, sample_sheet, splitting, tfrecord, validation
from roadmark.data.dataset_card import SplitStatistics
from roadmark.data.example import AnnotatedImage
from roadmark.data.findings import Ledger, Rule
from roadmark.data.formats import registry
from roadmark.data.formats.request import Request
from roadmark.data.source import SourceImage, SourceSet
from roadmark.data.validation import Judged, Rules
from roadmark.errors import UserError
from roadmark.odapi import label_map as label_maps
from roadmark.odapi.label_map import LabelMap

STRICT_SHOWN = 20
_IMAGES_PER_SHARD = 128
_MAX_SHARDS = 100
# Starting processes takes a second or two; fewer pictures are done before that.
_WORTH_PROCESSES = 100
_AHEAD_PER_PROCESS = 8
_SAMPLES = {"train": 6, "val": 6}
_OWN_FILE = re.compile(
    r"(train|val|test)-\d{5}-of-\d{5}\.tfrecord"
    r"|label_map\.pbtxt|dataset_card\.(json|txt)|samples\.jpg|findings\.csv"
)


Judge = Callable[[Sequence[SourceImage], Rules], Iterator[Judged]]


@dataclasses.dataclass(frozen=True)
class Options:
    """What `prepare` is asked for.

    Attributes:
        request: The data set. Its label map, where given, is that of the records too.
        format: A name in `registry.FORMATS`, or `auto`.
        out: The folder for the records; replaced whole.
        val_fraction: Share of pictures to validate on where the set is not divided yet.
        seed: Of the division, and of the order of pictures.
        group_by: Regular expression that finds a picture's group in its name, or None.
        strict: Refuse a set with faults instead of fixing and dropping.
        origin: What the card names as the input; empty for that of the request.
        judge: Judges pictures in order; None for `judged`.
    """

    request: Request
    format: str = registry.AUTO
    out: Path = Path("data/records")
    val_fraction: float = 0.2
    seed: int = 0
    group_by: str | None = None
    strict: bool = False
    origin: str = ""
    judge: Judge | None = None


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What `prepare` made.

    Attributes:
        out: The folder.
        card: The dataset card as JSON holds it.
        text: The dataset card to read.
    """

    out: Path
    card: dict[str, Any]
    text: str


def prepare(options: Options) -> Prepared:
    """Reads, judges and writes a data set.

    Raises:
        UserError: The set cannot be read or divided, a split has no picture left, `strict` is set
            and there are faults, or `out` holds what `prepare` did not write.
    """
    _check(options)
    name, source = registry.read(options.format, options.request)
    label_map = options.request.label_map or _numbered(source, options.request.input)
    splits, how = splitting.split(
        source.images, options.val_fraction, options.seed, options.group_by, source.ledger
    )
    origin = {
        "input": options.origin or options.request.input,
        "format": name,
        "split": how,
        "seed": options.seed,
    }
    with atomic_folder(options.out) as folder:
        statistics = _write(splits, source, label_map, options, folder)
        if options.strict:
            source.ledger.refuse_faults(STRICT_SHOWN)
        _require_objects(statistics, source.ledger, options.request.input)
        label_maps.save(label_map, folder / "label_map.pbtxt")
        card = dataset_card.build(origin, label_map, source.class_ids, statistics, source.ledger)
        text = dataset_card.write(card, source.ledger, folder)
        sample_sheet.write(_samples(folder), folder / "samples.jpg")
    return Prepared(options.out, card, text)


def judged(images: Sequence[SourceImage], rules: Rules) -> Iterator[Judged]:
    """Judges pictures in order; many of them in several processes at a time."""
    workers = len(os.sched_getaffinity(0))
    if len(images) < _WORTH_PROCESSES or workers == 1:
        yield from (validation.judge(image, rules) for image in images)
        return
    # Not forked: the caller may have threads (TensorFlow's), which a fork would leave half alive.
    context = multiprocessing.get_context("forkserver")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupt)
    with contextlib.ExitStack() as stack:
        stack.callback(pool.shutdown, cancel_futures=True)
        waiting: list[Future[Judged]] = []
        left = iter(images)
        for image in itertools.islice(left, workers * _AHEAD_PER_PROCESS):
            waiting.append(pool.submit(validation.judge, image, rules))
        while waiting:
            yield waiting.pop(0).result()
            for image in itertools.islice(left, 1):
                waiting.append(pool.submit(validation.judge, image, rules))


def _check(options: Options) -> None:
    if not 0 < options.val_fraction < 1:
        raise UserError(
            f"--val_fraction={options.val_fraction}", "expected a share between 0 and 1", "use 0.2"
        )
    out = options.out
    source = Path(options.request.input).resolve()
    if options.request.input and (out.resolve() == source or out.resolve() in source.parents):
        raise UserError(
            str(out), "the data set is in the folder to be replaced", "choose another with --out="
        )
    _check_out(out)


def _check_out(out: Path) -> None:
    """Refuses to replace what `prepare` did not write."""
    cure = "choose an empty or new folder with --out="
    if out.exists() and not out.is_dir():
        raise UserError(str(out), "a file, expected a folder", cure)
    names = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    others = [name for name in names if not _OWN_FILE.fullmatch(name)]
    if not others and names and dataset_card.load(out) is None:
        # Shards and a label map alone may be anyone's: the card says that they are prepare's.
        others = names
    if others:
        raise UserError(
            str(out),
            f"holds {others[0]!r}, which is no part of prepared records; the whole folder "
            "would be replaced",
            cure,
        )


def _numbered(source: SourceSet, where: str) -> LabelMap:
    if not source.class_ids:
        raise UserError(where, "no class in this data set", "annotate some objects")
    return LabelMap.of(dict(enumerate(source.class_ids, start=1)))


def _write(
    splits: splitting.Splits,
    source: SourceSet,
    label_map: LabelMap,
    options: Options,
    folder: Path,
) -> dict[str, SplitStatistics]:
    rules, judge = Rules(_class_ids(label_map), source.has_masks), options.judge or judged
    statistics = {}
    seen: dict[bytes, str] = {}
    with progress.track("preparing", len(source.images), "pictures") as meter:
        for split, images in splits.items():
            order = splitting.shuffled(images, options.seed)
            statistics[split] = SplitStatistics()
            with contextlib.closing(_Shards(folder, split, len(order))) as shards:
                for image, result in zip(order, judge(order, rules), strict=True):
                    source.ledger.extend(result.findings)
                    meter.advance()
                    if result.image is None:
                        continue
                    _note_identical(f"{split} {image.name}", result.digest, seen, source.ledger)
                    statistics[split].add(result.image)
                    shards.write(example.serialise(result.image))
    return statistics


def _class_ids(label_map: LabelMap) -> dict[str, int]:
    return {category.name: category.id for category in label_map.categories}


def _note_identical(where: str, digest: bytes, seen: dict[bytes, str], ledger: Ledger) -> None:
    first = seen.setdefault(digest, where)
    if first != where:
        ledger.add(Rule.IDENTICAL_IMAGE, where, f"the same file as {first}")


class _Shards:
    """Writes records to as many files as their number asks for, one after the other."""

    def __init__(self, folder: Path, split: str, total: int):
        count = max(1, min(-(-total // _IMAGES_PER_SHARD), _MAX_SHARDS))
        names = [f"{split}-{n:05d}-of-{count:05d}.tfrecord" for n in range(count)]
        self._writers = [tfrecord.RecordWriter(folder / name) for name in names]
        self._written = 0

    def write(self, record: bytes) -> None:
        # In turn, so that shards are alike in size whatever is dropped.
        self._writers[self._written % len(self._writers)].write(record)
        self._written += 1

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


def _require_objects(statistics: dict[str, SplitStatistics], ledger: Ledger, where: str) -> None:
    dropped = ledger.dropped()
    why = f"; first dropped: {dropped[0].where}: {dropped[0].found}" if dropped else ""
    for split in ("train", "val"):
        if not statistics[split].boxes:
            raise UserError(where, f"no object left for {split}{why}", "mend or enlarge the set")


def _samples(folder: Path) -> list[tuple[str, AnnotatedImage]]:
    samples = []
    for split, count in _SAMPLES.items():
        first = min(folder.glob(f"{split}-*"))
        frames = itertools.islice(tfrecord.scan(first), count)
        samples += [(split, example.parse(frame.data, frame.where)) for frame in frames]
    return samples


def _ignore_interrupt() -> None:
    # Ctrl-C reaches the whole process group; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
