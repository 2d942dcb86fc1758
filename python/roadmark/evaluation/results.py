"""All that an evaluation leaves: tables on the terminal, and its files."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from roadmark.evaluation import analysis, detections_reading, evaluation, mining, report
from roadmark.evaluation.evaluation import Evaluation
from roadmark.evaluation.history import History
from roadmark.evaluation.recording import Recording
from roadmark.evaluation.records import Selection
from roadmark.odapi.label_map import LabelMap


@dataclasses.dataclass(frozen=True)
class Results:
    """What was evaluated and what came out.

    Attributes:
        evaluation: COCO's metrics.
        recorded: What was marked and found in each chosen record's picture.
        names: Class name by label map id.
        selection: The records.
        history: How the run went that was evaluated; None where that is not known.
    """

    evaluation: Evaluation
    recorded: Recording
    names: Mapping[int, str]
    selection: Selection
    history: History | None = None

    def write(self, out: Path, suffix: str, seed: int) -> list[Path]:
        """Prints tables and writes JSON, the report and TensorBoard scalars.

        Args:
            out: Folder for the files.
            suffix: Goes to their names, as in `evaluation_export.json`.
            seed: As `analysis.analyse` takes it.

        Returns:
            What was written.
        """
        found = analysis.analyse(self.recorded.pictures, self.names, self.recorded.group_by, seed)
        evaluation.print_tables(self.evaluation)
        evaluation.print_analysis(found)
        written = [out / f"evaluation{suffix}.json", out / f"report{suffix}.html"]
        evaluation.write_json(self.evaluation, written[0], found)
        pictures = self.recorded.pictures
        report.write(self.evaluation, found, pictures, self.selection, written[1], self.history)
        if self.evaluation.step is not None:
            written.append(out / "tensorboard" / f"eval{suffix}")
            evaluation.write_scalars(self.evaluation, written[-1])
        return written

    def mine(self, folder: Path, most: int, against: str | None) -> Path:
        """Writes the worst pictures as records and as a labelling list, see `mining`.

        Args:
            folder: Where to; replaced.
            most: How many pictures.
            against: Another model's detections on the same records, or None.

        Raises:
            UserError: `against` cannot be read, or is of other pictures.
        """
        other = None
        if against is not None:
            recorded = Recording(self.recorded.group_by)
            labels = LabelMap.of(dict(self.names))
            detections_reading.evaluate(Path(against), labels, self.selection, recorded.add)
            other = recorded.pictures
        pictures, group_by = self.recorded.pictures, self.recorded.group_by
        chosen = mining.mine(pictures, self.names, most, group_by, other)
        print(mining.write(chosen, self.names, self.selection, folder))
        print(
            f"to learn from them: train --train_records='data/records/train-*,{folder}/mined-*' "
            "--set recipe.mined=3; then judge on other pictures than these"
        )
        return folder
