"""What was found wrong in a data set, and what was done about it.

Every rule by which `prepare` changes or leaves out something has a name here. Each use of a rule
is a `Finding`; a `Ledger` keeps them all, so that nothing is fixed or dropped unseen.
"""

import csv
import dataclasses
import enum
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from roadmark.errors import UserError

_COLUMNS = ("rule", "action", "where", "found")


class Action(enum.Enum):
    """What a rule does to what it names."""

    FIXED = "fixed"
    DROPPED = "dropped"
    # Left out because the format means it so; not a fault, so --strict allows it.
    SET_ASIDE = "set aside"
    NOTED = "kept as it is"


class Rule(enum.Enum):
    """The rules: the action, and what is told about it."""

    # Pictures.
    UNREADABLE_IMAGE = (Action.DROPPED, "picture that does not decode, or is truncated")
    MISSING_IMAGE = (Action.DROPPED, "annotations of a picture that is not there")
    NO_ANNOTATION = (Action.DROPPED, "picture that no annotation file tells of")
    DUPLICATE_IMAGE_ID = (Action.DROPPED, "image id given a second time, with its picture")
    DUPLICATE_ENTRY = (Action.FIXED, "picture listed again: its objects put together")
    WRONG_SIZE = (Action.DROPPED, "picture of another shape than its annotations state")
    SCALE_TO_IMAGE = (Action.FIXED, "boxes of a resized picture: scaled to its size")
    STATED_SIZE = (Action.FIXED, "picture size in the record that is not the picture's")
    RENAME_IMAGE = (Action.FIXED, "file name that several pictures have: a number added")
    APPLY_ORIENTATION = (Action.FIXED, "EXIF turn, which TensorFlow ignores: pixels turned")
    CONVERT_IMAGE = (Action.FIXED, "picture TensorFlow cannot read as RGB: saved as PNG")
    IDENTICAL_IMAGE = (Action.NOTED, "picture that is there twice, byte for byte")
    NO_SPLIT = (Action.NOTED, "picture of neither part in a set that is divided: to train")
    ONE_GROUP = (Action.NOTED, "one drive only: its frames are on both sides of the split")
    # Annotation files and records.
    DAMAGED_RECORD = (Action.DROPPED, "record that is corrupt, truncated or no annotated picture")
    MALFORMED = (Action.DROPPED, "annotation that does not parse")
    READER_WARNING = (Action.NOTED, "warning of Datumaro's reader; it drops such things itself")
    # Objects.
    UNKNOWN_CLASS = (Action.DROPPED, "object of a class that the label map lacks")
    BEYOND_NUM_CLASSES = (Action.DROPPED, "object with a class id above num_classes")
    NAME_WINS = (
        Action.FIXED,
        "class name and id disagree: the name is believed, as the OD API does",
    )
    UNKNOWN_IMAGE_ID = (Action.DROPPED, "object of an image id that is not listed")
    DUPLICATE_OBJECT_ID = (Action.NOTED, "annotation id given twice")
    NOT_FINITE = (Action.DROPPED, "box with NaN or infinity")
    SWAP_CORNERS = (Action.FIXED, "inverted box: corners swapped")
    CLIP_TO_IMAGE = (Action.FIXED, "box reaching over the picture's edge: cut there")
    OUTSIDE_IMAGE = (Action.DROPPED, "box wholly outside the picture")
    EMPTY_BOX = (Action.DROPPED, "box without width or height")
    DUPLICATE_BOX = (Action.DROPPED, "object with the same class and box as another")
    BOX_FROM_MASK = (Action.FIXED, "object with a mask and no box: box of the mask")
    MASK_FROM_BOX = (Action.FIXED, "object without a usable mask among masks: box filled")
    NOT_DOWNLOADED = (Action.SET_ASIDE, "Open Images rows of pictures that are not in the folder")
    OTHER_ANNOTATION = (Action.SET_ASIDE, "annotation that is neither box, polygon nor mask")
    OTHER_FEATURE = (Action.SET_ASIDE, "feature of objects in records that prepare does not keep")
    DONT_CARE = (Action.SET_ASIDE, "KITTI DontCare region: not an object")
    HAS_SCORE = (Action.NOTED, "KITTI line with a score: a detector's output, not a label")

    @property
    def action(self) -> Action:
        """What is done."""
        return self.value[0]

    @property
    def label(self) -> str:
        """The name as it is printed, such as `clip_to_image`."""
        return self.name.lower()

    @property
    def meaning(self) -> str:
        """What it is about, in a few words."""
        return self.value[1]


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One use of a rule.

    Attributes:
        rule: The rule.
        where: File and line, record or annotation, and box.
        found: The values that were found.
    """

    rule: Rule
    where: str
    found: str


class Ledger:
    """All findings of a run."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def add(self, rule: Rule, where: str, found: str) -> None:
        """Enters one finding."""
        self.findings.append(Finding(rule, where, found))

    def extend(self, findings: Iterable[Finding]) -> None:
        """Enters several."""
        self.findings.extend(findings)

    def faults(self) -> list[Finding]:
        """Those that were fixed or dropped, in the order they were found."""
        return [f for f in self.findings if f.rule.action in (Action.FIXED, Action.DROPPED)]

    def dropped(self) -> list[Finding]:
        """Those that were dropped."""
        return [f for f in self.findings if f.rule.action is Action.DROPPED]

    def counts(self) -> dict[Rule, int]:
        """Findings by rule, in the order of `Rule`."""
        found = Counter(finding.rule for finding in self.findings)
        return {rule: found[rule] for rule in Rule if found[rule]}

    def lines(self, examples: int) -> list[str]:
        """Readable text: a line for each rule that was used, and its first findings.

        Args:
            examples: How many findings to show of each rule.
        """
        lines = []
        for rule, count in self.counts().items():
            lines.append(f"{rule.action.value}: {count} x {rule.label} ({rule.meaning})")
            shown = [f for f in self.findings if f.rule is rule][:examples]
            lines += [f"    {finding.where}: {finding.found}" for finding in shown]
            if count > len(shown):
                lines.append(f"    ... and {count - len(shown)} more")
        return lines

    def write(self, path: Path) -> None:
        """Writes every finding as a row of a CSV file."""
        with open(path, "w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(_COLUMNS)
            for finding in self.findings:
                rule = finding.rule
                writer.writerow((rule.label, rule.action.value, finding.where, finding.found))

    def refuse_faults(self, shown: int) -> None:
        """What `--strict` asks for.

        Args:
            shown: How many faults the message lists.

        Raises:
            UserError: Something would be fixed or dropped.
        """
        faults = self.faults()
        if not faults:
            return
        listed = " | ".join(f"{f.rule.label}: {f.where}: {f.found}" for f in faults[:shown])
        more = f" | ... and {len(faults) - shown} more" if len(faults) > shown else ""
        raise UserError(
            "--strict",
            f"{len(faults)} faults, nothing written: {listed}{more}",
            "mend them, or leave --strict out to have them fixed or dropped as the rules say",
        )
