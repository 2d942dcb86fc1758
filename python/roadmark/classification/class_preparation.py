"""Pictures with a class in, a checked and divided class set out."""

import csv
import dataclasses
import hashlib
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from roadmark import atomic, progress
from roadmark.classification import class_set, class_sources
from roadmark.classification.class_set import SPLITS, TEST, TRAIN, VAL, Box, Entry
from roadmark.classification.class_sources import Picture
from roadmark.data import image_file
from roadmark.errors import UserError

# Beyond this ratio of the largest class to the smallest the report says what to do about it.
_IMBALANCE = 3
# Within the set while it is made: pictures that have no place yet.
_KEPT = ".kept"
# A picture as large as its box, within so many pixels, was cut at it.
_CUT_TOLERANCE = 2


@dataclasses.dataclass(frozen=True)
class Options:
    """What to prepare.

    Attributes:
        format: One of `class_sources.FORMATS`.
        input: Folder or file; empty for rendered cars.
        out: Folder of the class set.
        val_fraction: Share of each class that validates, where the set is not divided.
        test_fraction: Share of each class that tests, where the set has no part for that.
        seed: Of the division and of rendered cars.
        num_images: Cars to render.
        strict: Refuses a set with faults.
        origin: What the set names as its input; empty for `input`.
    """

    format: str
    input: str
    out: Path
    val_fraction: float = 0.2
    test_fraction: float = 0.0
    seed: int = 0
    num_images: int = 1000
    strict: bool = False
    origin: str = ""


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that is wrong with a picture.

    Attributes:
        rule: What was done about it, in a few words.
        where: The file, and the line in it.
        detail: What was found.
    """

    rule: str
    where: str
    detail: str


_BROKEN = "broken picture: left out"
_ABSENT = "picture not there: left out"
_TWICE = "same picture twice: the first kept"
_TWO_CLASSES = "same picture in two classes: both left out"
_OUTSIDE = "box not in the picture: box left out"
_ALREADY_CUT = "picture is cut at its box already: box is the whole picture"
# What is not a fault of the set.
_HARMLESS = (_ALREADY_CUT, _ABSENT)


def prepare(options: Options) -> str:
    """Reads, checks, divides and writes a class set; returns the report.

    Raises:
        UserError: There is nothing to read, a class is too small to divide, or the set has faults
            and `strict` is set.
    """
    if not options.input and options.format != class_sources.SYNTHETIC:
        raise UserError("--input", "missing, expected the set's folder or file", "give it")
    if options.val_fraction <= 0 or options.val_fraction + options.test_fraction >= 1:
        raise UserError(
            f"--val_fraction={options.val_fraction:g} --test_fraction={options.test_fraction:g}",
            "expected shares that leave some to train",
            "give 0.2 and 0, say",
        )
    place = Path(options.input)
    source = class_sources.read(options.format, place, options.num_images, options.seed)
    findings = [Finding(_ABSENT, where, "") for where in source.absent]
    with atomic.atomic_folder(options.out) as folder:
        kept = folder / _KEPT
        kept.mkdir()
        read = _checked(source.pictures, kept, findings)
        faults = [f for f in findings if f.rule not in _HARMLESS]
        if options.strict and faults:
            raise UserError(
                faults[0].where, f"{faults[0].rule}: {faults[0].detail} ({len(faults)} in all)",
                "mend the set, or prepare it without --strict",
            )  # fmt: skip
        classes = sorted({one.picture.class_name for one in read})
        if len(classes) < 2:
            raise UserError(
                options.input or options.format,
                f"{len(classes)} classes, expected 2 or more",
                "add some",
            )
        splits = _divided([one.picture for one in read], options)
        entries = _place_pictures(folder, read, splits, classes)
        shutil.rmtree(kept)
        _write_findings(folder / class_set.FINDINGS, findings)
        about = {
            "format": options.format,
            "input": options.origin or options.input,
            "seed": options.seed,
            "val_fraction": options.val_fraction,
            "test_fraction": options.test_fraction,
            "findings": dict(Counter(finding.rule for finding in findings)),
        }
        version = class_set.write(folder, classes, entries, about)
        text = _report(entries, classes, findings, version)
        (folder / class_set.REPORT).write_text(text, encoding="utf-8")
    return text


@dataclasses.dataclass(frozen=True)
class _Read:
    """A picture that decodes; its bytes are in a file named by their SHA-256, not in memory."""

    picture: Picture
    sha256: str
    suffix: str
    box: Box | None


def _checked(pictures: Sequence[Picture], folder: Path, findings: list[Finding]) -> list[_Read]:
    """The pictures that decode, each once, with boxes that lie in them; their files in `folder`."""
    read: dict[str, _Read] = {}
    ambiguous: set[str] = set()
    with progress.track("checking", len(pictures), "pictures") as meter:
        for picture in pictures:
            meter.advance()
            encoded = picture.read()
            try:
                image = image_file.read(encoded, None)
            except image_file.UnreadableImageError as error:
                findings.append(Finding(_BROKEN, picture.where, f"{picture.name}: {error}"))
                continue
            digest = hashlib.sha256(image.encoded).hexdigest()
            if digest in read:
                first = read[digest].picture
                same = first.class_name == picture.class_name
                ambiguous |= set() if same else {digest}
                rule = _TWICE if same else _TWO_CLASSES
                detail = f"{picture.name} ({picture.class_name}) is {first.name} of {first.where} "
                findings.append(Finding(rule, picture.where, f"{detail}({first.class_name})"))
                continue
            (folder / digest).write_bytes(image.encoded)
            suffix = ".jpg" if image.format == "jpeg" else ".png"
            read[digest] = _Read(picture, digest, suffix, _box(picture, image, findings))
    return [one for digest, one in read.items() if digest not in ambiguous]


def _box(picture: Picture, image: image_file.ImageFile, findings: list[Finding]) -> Box | None:
    if picture.box is None or image.turned:
        return None
    ymin, xmin, ymax, xmax = picture.box
    size = (ymax - ymin, xmax - xmin)
    if 0 <= ymin < ymax <= image.height and 0 <= xmin < xmax <= image.width:
        return picture.box
    detail = f"box {picture.box}, picture {image.height} x {image.width}"
    if (
        abs(size[0] - image.height) <= _CUT_TOLERANCE
        and abs(size[1] - image.width) <= _CUT_TOLERANCE
    ):
        findings.append(Finding(_ALREADY_CUT, picture.where, detail))
        return (0.0, 0.0, float(image.height), float(image.width))
    findings.append(Finding(_OUTSIDE, picture.where, detail))
    return None


def _divided(pictures: Sequence[Picture], options: Options) -> list[str]:
    """The split of each picture; what the source divides stays, the rest is drawn by class."""
    splits = [picture.split for picture in pictures]
    shares = {
        TEST: 0.0 if TEST in splits else options.test_fraction,
        VAL: 0.0 if VAL in splits else options.val_fraction,
    }
    by_class = defaultdict(list)
    for index, picture in enumerate(pictures):
        if splits[index] in (None, TRAIN):
            by_class[picture.class_name].append(index)
    for number, name in enumerate(sorted(by_class)):
        members = by_class[name]
        order = list(np.random.default_rng([options.seed, number]).permutation(len(members)))
        for split, share in shares.items():
            wanted = max(round(share * len(members)), 1) if share else 0
            # At least one is left to train.
            for position in [order.pop() for _ in range(min(wanted, len(order) - 1))]:
                splits[members[position]] = split
    return [split or TRAIN for split in splits]


def _place_pictures(
    folder: Path, read: Sequence[_Read], splits: Sequence[str], classes: Sequence[str]
) -> list[Entry]:
    entries, used = [], set()
    for one, split in zip(read, splits, strict=True):
        picture = one.picture
        kind = re.sub(r"[^\w .()+-]", "_", picture.class_name)
        stem = Path(picture.name).stem
        path, number = f"{split}/{kind}/{stem}{one.suffix}", 1
        while path in used:
            number += 1
            path = f"{split}/{kind}/{stem}-{number}{one.suffix}"
        used.add(path)
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / _KEPT / one.sha256).rename(target)
        entries.append(
            Entry(
                split, path, classes.index(picture.class_name), picture.class_name,
                one.sha256, one.box, picture.where,
            )
        )  # fmt: skip
    return entries


def _write_findings(path: Path, findings: Sequence[Finding]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("rule", "where", "detail"))
        writer.writerows((f.rule, f.where, f.detail) for f in findings)


def _report(
    entries: Sequence[Entry], classes: Sequence[str], findings: Sequence[Finding], version: str
) -> str:
    counts = {name: Counter() for name in classes}
    for entry in entries:
        counts[entry.class_name][entry.split] += 1
    width = max(len(name) for name in classes)
    lines = [f"{'class':<{width}} " + " ".join(f"{split:>6}" for split in SPLITS)]
    lines += [
        f"{name:<{width}} " + " ".join(f"{counts[name][split]:>6}" for split in SPLITS)
        for name in classes
    ]
    totals = Counter(entry.split for entry in entries)
    lines.append(f"{'all':<{width}} " + " ".join(f"{totals[split]:>6}" for split in SPLITS))
    lines += ["", *_imbalance(counts)]
    for rule, number in Counter(finding.rule for finding in findings).items():
        example = next(finding for finding in findings if finding.rule == rule)
        lines.append(f"{number} x {rule} (first: {example.where} {example.detail})".rstrip())
    lines.append("all pictures decode" if not findings else "each is in findings.csv")
    if not totals[TEST]:
        lines.append("no test part: the source has none")
    lines.append(f"data version {version[:16]}")
    return "\n".join(lines) + "\n"


def _imbalance(counts: dict[str, Counter]) -> list[str]:
    train = {name: count[TRAIN] for name, count in counts.items()}
    largest, smallest = max(train, key=train.__getitem__), min(train, key=train.__getitem__)
    ratio = train[largest] / max(train[smallest], 1)
    lines = [
        f"class imbalance (train): {ratio:.1f}, from {train[smallest]} ({smallest}) to "
        f"{train[largest]} ({largest})"
        if train[largest] > train[smallest]
        else f"no class imbalance: {train[largest]} pictures of each class to train"
    ]
    if ratio > _IMBALANCE:
        lines.append("consider compile.class_weights: balanced")
    lacking = [name for name, count in counts.items() if not count[VAL] or not count[TRAIN]]
    if lacking:
        lines.append(
            f"{len(lacking)} classes lack training or validation pictures: {lacking[0]}, …"
        )
    return lines
