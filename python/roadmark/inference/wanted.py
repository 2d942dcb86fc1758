"""What `evaluate` is asked for: a checkpoint, an exported folder, or a file of detections."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from roadmark import locations, manifest
from roadmark.cluster.choice import Choice
from roadmark.errors import UserError
from roadmark.evaluation import corruption, detections_reading, records
from roadmark.evaluation.history import History
from roadmark.evaluation.parts import Sharing
from roadmark.evaluation.recording import Recording, recording
from roadmark.evaluation.records import Selection
from roadmark.evaluation.results import Results
from roadmark.odapi import label_map, trained_model
from roadmark.odapi.trained_model import TrainedModel
from roadmark.storage import address


@dataclasses.dataclass(frozen=True)
class Wanted:
    """An evaluation; each value is that of the flag of its name.

    Attributes:
        model_dir: Run folder.
        config: Pipeline config.
        checkpoint: Prefix or folder.
        label_map: Label map.
        model: Exported folder.
        detections: File of detections.
        engine: As `Detector.load` takes it.
        device: Likewise.
        precision: Likewise.
        trust: As `manifest.load` takes it.
        eval_records: Glob.
        eval_subset: Number of pictures; 0 for all.
        group_by: Regular expression.
        corruptions: Names.
        severities: Numbers.
        out: Folder.
        history: Reads how the run of a folder went.
        choice: The cluster, or None to do all here.
        given: The paths among these as other machines find them.
    """

    model_dir: str | None
    config: str | None
    checkpoint: str | None
    label_map: str | None
    model: str | None
    detections: str | None
    engine: str
    device: str
    precision: str
    trust: bool
    eval_records: str | None
    eval_subset: int
    group_by: str | None
    corruptions: Sequence[str]
    severities: Sequence[str]
    out: str | None
    history: Callable[[Path], History | None]
    choice: Choice | None
    given: Mapping[str, str | None]

    def evaluate(self) -> tuple[Results, Path, str]:
        """Evaluates it.

        Returns:
            The results, the folder for their files, and a suffix for their names.

        Raises:
            UserError: Something is missing, or not whole.
        """
        if self.detections is not None:
            return self._of_detections(Path(self.detections))
        return self._of_checkpoint() if self.model is None else self._of_export(Path(self.model))

    def _of_detections(self, path: Path) -> tuple[Results, Path, str]:
        recorded = Recording(self.group_by)
        labels = label_map.load(self.label_map or locations.LABEL_MAP)
        selection = self._selection(locations.EVAL_RECORDS)
        print(f"evaluating {path} on {len(selection)} pictures", flush=True)
        result, notes = detections_reading.evaluate(path, labels, selection, recorded.add)
        for note in notes:
            print(note)
        found = Results(result, recorded, labels.names, selection)
        return found, Path(self.out or path.parent), "_detections"

    def _of_export(self, folder: Path) -> tuple[Results, Path, str]:
        from roadmark.inference import evaluate
        from roadmark.inference.detector import Detector

        worse = corruption.parse(self.corruptions, self.severities)
        out, selection = Path(self.out or folder.parent), self._selection(locations.EVAL_RECORDS)
        choices, what = (self.engine, self.device, self.precision), str(folder)
        description = manifest.load(folder, self.trust)
        if self.choice is None:
            detector = Detector.load(folder, *choices, description=description)
            what += f" ({detector.engine.explained()})"
            names, work, model = detector.label_map, evaluate.evaluate, detector
        else:
            names, work = description.names(), evaluate.evaluate_on_cluster
            loader = evaluate.Loader(self._seen("model", folder), choices, self.trust)
            described = manifest.sha256(folder / locations.MANIFEST)
            model = self._sharing(
                loader, out / ".parts_export", selection, {"model": described, "choices": choices}
            )
        print(f"evaluating {what} on {len(selection)} pictures", flush=True)
        with recording(out / "detections_export.json", names, self.group_by) as recorded:
            result = work(folder, model, selection, recorded.add, worse)
        return Results(result, recorded, names, selection), out, "_export"

    def _of_checkpoint(self) -> tuple[Results, Path, str]:
        from roadmark.inference import checkpoint

        worse = corruption.parse(self.corruptions, self.severities)
        run = self._run_folder()
        config = self.config if run is None or self.model_dir is not None else None
        model = trained_model.find(run, self.checkpoint, config, self.label_map)
        selection = self._selection(
            None if self.eval_records else trained_model.eval_records(model)
        )
        out = Path(self.out) if self.out is not None else run or model.checkpoint.parent
        print(f"evaluating {model.checkpoint} on {len(selection)} pictures", flush=True)
        names = model.label_map.names
        with recording(out / "detections.json", names, self.group_by) as recorded:
            if self.choice is None:
                result = checkpoint.evaluate(model, selection, recorded.add, worse)
            else:
                loader = self._loader(run, config, model)
                stamp = {"model": checkpoint.stamp(model)}
                sharing = self._sharing(loader, out / ".parts", selection, stamp)
                result = checkpoint.evaluate_on_cluster(
                    model, sharing, selection, recorded.add, worse
                )
        history = None if run is None else self.history(run)
        return Results(result, recorded, names, selection, history), out, ""

    def _loader(self, run: Path | None, config: str | None, model: TrainedModel) -> Any:
        from roadmark.inference import checkpoint

        places = {
            "model_dir": run,
            "checkpoint": self.checkpoint,
            "config": config,
            "label_map": self.label_map,
        }
        seen = (place and self._seen(flag, place) for flag, place in places.items())
        # The newest one of the run may be another when the machines look.
        newest = "" if self.checkpoint else _below(model.checkpoint, run or Path())
        return checkpoint.Loader(tuple(seen), newest)

    def _selection(self, default: str | None) -> Selection:
        return records.select(self.eval_records or default or "", self.eval_subset)

    def _sharing(
        self,
        make: Callable[[], Any],
        folder: Path,
        selection: Selection,
        settings: Mapping[str, Any],
    ) -> Sharing:
        given = self.given["eval_records"] or selection.source
        return Sharing(self.choice, make, folder, settings, given)

    def _seen(self, flag: str, path: str | Path) -> str:
        """A path or address as other machines find it."""
        given = self.given[flag] or ""
        return given if address.is_remote(given) else str(Path(path).absolute())

    def _run_folder(self) -> Path | None:
        if self.model_dir is not None:
            return Path(self.model_dir)
        if self.config is None:
            cure = "give --model_dir, --config, --model or --detections"
            raise UserError("command line", "found nothing to evaluate", cure)
        return None if self.checkpoint is not None else locations.model_dir(self.config)


def _below(path: Path, folder: Path) -> str:
    return path.absolute().relative_to(folder.absolute()).as_posix()
