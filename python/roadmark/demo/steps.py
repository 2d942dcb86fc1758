"""The demo's steps, one after the other: each is the library call behind a command."""

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from roadmark import locations
from roadmark.demo import materials
from roadmark.evaluation.coco import BOXES
from roadmark.evaluation.evaluation import Evaluation
from roadmark.training.options import TrainOptions, TrainResult

_STEPS = 6
_SHEET_PICTURES = 12
_SCORE_THRESHOLD = 0.4
_BATCH_SIZE = 4


@dataclasses.dataclass(frozen=True)
class DemoOptions:
    """What the demo is asked for.

    Attributes:
        config: The pipeline config to train.
        run: The run folder.
        num_images: Scenes to render, those to validate on included.
        seconds: Length of the clip.
        steps: Training steps; None for the config's.
        seed: Of scenes, clip and training.
        restart: Whether to train anew.
    """

    config: Path
    run: Path
    num_images: int
    seconds: float
    steps: int | None
    seed: int
    restart: bool


@dataclasses.dataclass(frozen=True)
class _Results:
    """Where everything is: label to file or folder."""

    evaluation: Evaluation
    places: dict[str, Path]


def run(options: DemoOptions) -> int:
    """Renders, trains, evaluates, exports and annotates; says what it does and what came of it.

    Returns:
        The exit code: 0, or that of a training which Ctrl-C or SIGTERM stopped.

    Raises:
        UserError: As the commands do that it stands for.
    """
    begin = time.monotonic()
    with _step(1, "render scenes and a clip (prepare --from=synthetic)"):
        records = materials.records(options.num_images, options.seed, options.run)
        clip = materials.clip(options.seconds, options.seed, options.run)
    with _step(2, f"train {options.config.stem} (train)"):
        trained = _train(options, records)
    if trained.exit_code:
        print(f"stopped at step {trained.step}; repeat the command to go on from there")
        return trained.exit_code
    results = _use(options.run, records, clip, options.seed)
    _show(records, results)
    print(f"done in {time.monotonic() - begin:.0f} s")
    return 0


@contextmanager
def _step(number: int, title: str) -> Iterator[None]:
    print(f"\n[{number}/{_STEPS}] {title}", flush=True)
    begin = time.monotonic()
    yield
    print(f"[{number}/{_STEPS}] took {time.monotonic() - begin:.0f} s", flush=True)


def _train(options: DemoOptions, records: Path) -> TrainResult:
    # TensorFlow and what stands on it take seconds to import; rendering needs none of it.
    from roadmark.training import loop

    return loop.train(
        TrainOptions(
            config=options.config,
            train_records=str(records / Path(locations.TRAIN_RECORDS).name),
            eval_records=str(records / Path(locations.EVAL_RECORDS).name),
            label_map=records / locations.LABEL_MAP.name,
            model_dir=options.run,
            steps=options.steps,
            seed=options.seed,
            restart=options.restart,
        )
    )


def _use(run_folder: Path, records: Path, clip: Path, seed: int) -> _Results:
    from roadmark.demo import contact_sheet
    from roadmark.evaluation import records as evaluation_records
    from roadmark.evaluation.recording import recording
    from roadmark.evaluation.results import Results
    from roadmark.export import exporter
    from roadmark.inference import checkpoint
    from roadmark.inference.detector import Detector
    from roadmark.odapi import trained_model
    from roadmark.training.metrics import history
    from roadmark.video import ByModel, VideoOptions, annotate_video

    unseen = str(records / Path(locations.EVAL_RECORDS).name)
    sheet, annotated = run_folder / "contact_sheet.jpg", run_folder / "test.annotated.mp4"
    model = trained_model.find(run_folder)
    with _step(3, "evaluate on scenes that training has not seen (evaluate)"):
        selection, names = evaluation_records.select(unseen), model.label_map.names
        with recording(run_folder / "detections.json", names) as recorded:
            found = checkpoint.evaluate(model, selection, recorded.add)
        results = Results(found, recorded, names, selection, history(run_folder))
        metrics, report, _ = results.write(run_folder, "", seed)
    with _step(4, "export (export)"):
        exported = exporter.export(model, locations.export_dir(run_folder))
        detector = Detector.load(exported.folder)
    with _step(5, "draw what it finds in unseen scenes"):
        contact_sheet.write(detector, evaluation_records.select(unseen, _SHEET_PICTURES), sheet)
    with _step(6, "annotate the clip (infer)"):
        annotate_video(
            clip,
            annotated,
            ByModel(detector, _SCORE_THRESHOLD),
            detector.label_map,
            annotated.with_suffix(".json"),
            VideoOptions(_BATCH_SIZE),
        )
    places = {
        "records": records,
        "clip": clip,
        "annotated clip": annotated,
        "contact sheet": sheet,
        "metrics": metrics,
        "report": report,
        "exported model": exported.folder,
        "run folder": run_folder,
    }
    return _Results(found, places)


def _show(records: Path, results: _Results) -> None:
    print(f"\n{(records / materials.CARD_TEXT).read_text(encoding='utf-8')}")
    scores = results.evaluation.metrics.summary[BOXES]
    print(f"\nmAP@0.5 {scores['AP50']:.3f}, mAP {scores['mAP']:.3f} on unseen scenes")
    for what, place in results.places.items():
        print(f"  {what:<15} {place}")
    print("\nnow try:")
    print("  bazel run //python:infer -- --video test.mp4")
    print("  bazel run //python:train -- --config=configs/effdet_d1.config")
