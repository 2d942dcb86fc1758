"""`prepare --check`: judges records that exist already, and writes nothing."""

import dataclasses
from pathlib import Path

from roadmark import progress
from roadmark.data import preparation, records
from roadmark.data.findings import Ledger
from roadmark.data.formats import tfrecords
from roadmark.data.formats.request import Request
from roadmark.data.validation import Rules
from roadmark.odapi import label_map as label_maps

_EXAMPLES = 20


@dataclasses.dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        ledger: The findings.
        text: What to print.
    """

    ledger: Ledger
    text: str

    def is_bad(self, strict: bool) -> bool:
        """Whether the records must not be used.

        What `prepare` would have to drop is bad. What it could fix (a box over the picture's
        edge) trains as it is, and is bad only under `strict`.
        """
        return bool(self.ledger.faults() if strict else self.ledger.dropped())


def check(pattern: str, label_map: str | None, num_classes: int | None) -> Checked:
    """Reads every record that a glob names, decodes every picture and judges every box.

    Args:
        pattern: The glob.
        label_map: The label map file; when None, a .pbtxt file beside the records.
        num_classes: Highest class id allowed, or None for any in the label map.

    Raises:
        UserError: The glob matches nothing, or the label map is not valid.
    """
    files = records.match(pattern)
    request = Request(
        input=pattern,
        label_map=label_maps.load(label_map) if label_map else None,
        num_classes=num_classes,
    )
    source = tfrecords.read(request)
    rules = Rules(
        {name: number or 0 for name, number in source.class_ids.items()}, with_masks=False
    )
    with progress.track("checking", len(source.images), "pictures") as meter:
        for result in preparation.judged(source.images, rules):
            source.ledger.extend(result.findings)
            meter.advance()
    return Checked(source.ledger, _text(files, len(source.images), source.ledger))


def _text(files: list[Path], pictures: int, ledger: Ledger) -> str:
    found = ledger.lines(examples=_EXAMPLES)
    verdict = "prepare --from=tfrecord would change this:" if found else "nothing wrong"
    lines = [f"{len(files)} files, {pictures} annotated pictures", verdict, *found]
    return "\n".join(lines) + "\n"
