"""The suite `video`: from a clip to an annotated one, beside what limits it and what others do."""

import functools
import json
import shutil
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roadmark import locations
from roadmark.benchmark import shown_boxes, suite, timing, video_clip, video_models
from roadmark.benchmark.computer import Bandwidth
from roadmark.benchmark.contender import Contender, Contenders
from roadmark.benchmark.contenders import ffmpeg
from roadmark.benchmark.report import Report, Row
from roadmark.benchmark.suite import Arrays, Measured, Options
from roadmark.benchmark.video_models import BenchmarkModel
from roadmark.inference.engine import AUTO

_CONTENDERS = "roadmark.benchmark.contenders"
_OURS = f"{_CONTENDERS}.video"
_FFMPEG, _TUTORIAL = f"{_CONTENDERS}.ffmpeg:transcoding", f"{_CONTENDERS}.tutorial:annotating"

_WIDTH, _HEIGHT = 1280, 720
_FRAMES, _QUICK_FRAMES = 600, 150
_LONG_WIDTH, _LONG_HEIGHT = 640, 360
_LONG_FRAMES, _LONG_QUICK_FRAMES = 20_000, 2_000
_BATCH_SIZE = 4
_SLEEP_S = 0.03
_BOXES = 10
_SCORE_THRESHOLD = 0.4
_CACHE = Path(locations.RUNS) / "bench"

_ENCODER = "H.264, preset veryfast, crf 23"


def run(options: Options) -> Report:
    """Runs the suite.

    Args:
        options: The user's. `model` is an exported folder; when there is none, those of
            `video_models.make` are measured. `threads` counts with its largest number.

    Raises:
        RuntimeError: A contender failed; names it.
    """

    def measure(running: Contenders, _: Bandwidth) -> Measured:
        parts = _Suite(options, running).parts()
        return [row for name, rows in parts if options.wants(name) for row in rows()], []

    packages = ["av", "openvino", "numpy"]
    return suite.report_of(options, [max(options.threads)], measure, _OURS, packages)


class _Suite:
    def __init__(self, options: Options, running: Contenders) -> None:
        self._options, self._running = options, running
        self.threads = max(options.threads)
        self._is_quick = options.effort == timing.QUICK
        self._frames = _QUICK_FRAMES if self._is_quick else _FRAMES
        _CACHE.mkdir(parents=True, exist_ok=True)
        options.say(f"the clip is kept in {_CACHE}")
        self._clip = video_clip.make(_CACHE, self._frames, _WIDTH, _HEIGHT)
        self._thresholds: dict[Path, float] = {}

    @functools.cached_property
    def _models(self) -> list[BenchmarkModel]:
        given = self._options.model
        if given is not None:
            return video_models.given(given)
        return video_models.make(_CACHE, self._options.configs, self.threads, self._options.say)

    @property
    def _model(self) -> Path:
        """For what one model is enough."""
        return self._models[0].folder

    def parts(self) -> tuple:
        """Name of each group of figures, and what measures it."""
        return (
            ("sleeping engine", self._sleeping_engine),
            ("no-op network", self._no_op_network),
            ("CPU", self._processors),
            ("tutorial loop", self._tutorial_loop),
            ("time to the first frame", self._first_frame),
            ("memory", self._memory),
        )

    def _sleeping_engine(self) -> list[Row]:
        ours = self._annotating({"sleep_s": _SLEEP_S, "boxes": _BOXES})
        seconds = self._median([ours.seconds])[0]
        return [
            self._row(
                operation="annotate, engine that sleeps 30 ms a frame",
                peer="the engine alone",
                ours=seconds,
                theirs=_SLEEP_S * self._frames,
                target=0.95,
                counted=f"{_ENCODER}; pre-processing to 640x640, {_BOXES} boxes drawn; batches of "
                f"{_BATCH_SIZE}. {_speed(ours.result())}",
            )
        ]

    def _no_op_network(self) -> list[Row]:
        ours = self._annotating({"sleep_s": 0.0, "boxes": 0})
        theirs = self._contender(_FFMPEG, {"encoder": video_clip.ENCODER_OPTIONS})
        mine, others = self._median([ours.seconds, theirs.seconds])
        by = "the ffmpeg program" if shutil.which(ffmpeg.PROGRAM) else "FFmpeg's libraries by PyAV"
        return [
            self._row(
                operation="annotate, no-op network",
                peer=f"{by}, transcoding",
                ours=mine,
                theirs=others,
                target=0.9,
                counted=f"{_ENCODER}; ours with pre-processing to 640x640 and its check of the "
                f"finished file. {_speed(ours.result())}",
            )
        ]

    def _processors(self) -> list[Row]:
        encoder = {"encoder": video_clip.ENCODER_OPTIONS}
        alone = {
            "network": self._processor_time("running_the_network", self._model_options()),
            "decode": self._processor_time("decoding", {}),
            "encode": self._processor_time("encoding", encoder),
        }
        ours = self._annotating(self._model_options())
        seconds = self._median([ours.seconds])[0]
        found = ours.result()
        spelled = " + ".join(f"{name} {value * 1e3:.2f}" for name, value in alone.items())
        return [
            self._row(
                operation=f"annotate, {_engine(found)}",
                peer=f"{self.threads} processors shared by network, decoder and encoder",
                ours=seconds,
                theirs=sum(alone.values()) / self.threads * self._frames,
                target=0.9,
                counted=f"{self._described()}; {_ENCODER}; processor ms per frame, each alone, the "
                f"network in the same precision: {spelled}. {_speed(found)}",
            )
        ]

    def _tutorial_loop(self) -> list[Row]:
        return [self._beside_the_tutorial_loop(model) for model in self._models]

    def _beside_the_tutorial_loop(self, model: BenchmarkModel) -> Row:
        terms = self._model_options(model)
        theirs = self._contender(_TUTORIAL, {**terms, "names": _texts(model.names)})
        expected = theirs.result()
        compare = functools.partial(
            shown_boxes.compare,
            theirs=expected,
            frames=int(expected["frames"]),
            threshold=terms["score_threshold"],
        )
        exact = compare(self._annotating({**terms, "precision": "fp32"}).result())
        ours = self._annotating(terms)
        found = ours.result()
        our_s, their_s = self._median([ours.seconds, theirs.seconds])
        return self._row(
            operation=f"annotate, {_engine(found)}, {model.folder.parent.name}",
            peer="tutorial loop",
            ours=our_s,
            theirs=their_s,
            target=model.target,
            counted=f"{self._described(model)}; ours writes {_ENCODER}, OpenCV's wheels have only "
            "MPEG-4 Part 2, which costs less; stock SavedModel one frame at a time, in fp32; both "
            f"show at most {model.most_boxes} boxes",
            agreement=f"{compare(found)}; were ours in fp32, which is not timed: {exact}",
        )

    def _first_frame(self) -> list[Row]:
        seconds = []
        for _ in range(3):
            # A process of its own, in which nothing is warm.
            fresh = Contender(None, self.threads)
            try:
                self._prepare(fresh, f"{_OURS}:starting", self._model_options())
                seconds.append(float(fresh.result()["seconds"]))
            finally:
                fresh.close()
        return [
            self._row(
                operation="time to the first frame",
                peer="bound",
                ours=statistics.median(seconds),
                theirs=3.0,
                target=1.0,
                counted=f"{self._described()}; from after the imports until the encoder has the "
                "frame: the model is loaded, compiled and warm",
                unit="s",
            )
        ]

    def _memory(self) -> list[Row]:
        frames = _LONG_QUICK_FRAMES if self._is_quick else _LONG_FRAMES
        clip = video_clip.make(_CACHE, frames, _LONG_WIDTH, _LONG_HEIGHT)
        ours = self._annotating({"sleep_s": 0.0, "boxes": _BOXES, "clip": str(clip)})
        grown = float(ours.result()["resident_mb"])
        return [
            self._row(
                operation=f"resident memory grows over {frames:,} frames",
                peer="bound",
                ours=max(grown, 0.1),
                theirs=50.0,
                target=1.0,
                counted="from a tenth of the clip to its end",
                unit="MB",
                size=f"{_LONG_WIDTH}x{_LONG_HEIGHT}",
            )
        ]

    def _model_options(self, model: BenchmarkModel | None = None) -> dict[str, Any]:
        model = model or self._models[0]
        return {
            "model": str(model.folder),
            "precision": AUTO,  # As `infer` has it.
            "score_threshold": self._threshold(model),
            "most_boxes": model.most_boxes,
            "batch_size": _BATCH_SIZE,
        }

    def _threshold(self, model: BenchmarkModel) -> float:
        """That of `infer`, but for weights of which it would show few boxes, or any number."""
        if model.folder not in self._thresholds:
            options = {"model": str(model.folder), "precision": "fp32", "boxes": _BOXES}
            found = self._contender(f"{_OURS}:scoring", options).result()
            score = float(found["score"])
            shows_enough = model.is_trained and score >= _SCORE_THRESHOLD
            self._thresholds[model.folder] = _SCORE_THRESHOLD if shows_enough else score
        return self._thresholds[model.folder]

    def _described(self, model: BenchmarkModel | None = None) -> str:
        model = model or self._models[0]
        threshold = self._threshold(model)
        said = f"{model.folder}, {model.weights}; boxes above {threshold:.4g}"
        if threshold == _SCORE_THRESHOLD:
            return f"{said}, as `infer` shows them"
        return f"{said}, where the first frame has {_BOXES}"

    def _annotating(self, options: Mapping[str, Any]) -> Contender:
        return self._contender(f"{_OURS}:annotating", {"batch_size": _BATCH_SIZE, **options})

    def _contender(self, function: str, options: Mapping[str, Any]) -> Contender:
        side = self._running.get(function, is_foreign=False, threads=self.threads)
        self._prepare(side, function, options)
        return side

    def _prepare(self, side: Contender, function: str, options: Mapping[str, Any]) -> None:
        self._options.say(function.split(".")[-1])
        # All inputs are in files: there is no array in this folder.
        side.prepare(function, _CACHE, {"clip": str(self._clip), **options})

    def _processor_time(self, part: str, options: Mapping[str, Any]) -> float:
        side = self._contender(f"{_OURS}:{part}", options)
        return statistics.median(float(side.result()["cpu_s"]) for _ in range(3))

    def _median(self, sides: list[timing.Clock]) -> list[float]:
        """Seconds of one call of each, which take turns after one round that does not count."""
        rounds = 3 if self._is_quick else 5
        taken = [[side(1) for side in sides] for _ in range(rounds + 1)][1:]
        return [statistics.median(column) for column in zip(*taken, strict=True)]

    def _row(
        self,
        operation: str,
        peer: str,
        ours: float,
        theirs: float,
        target: float,
        counted: str,
        agreement: str = "nothing to compare",
        unit: str = "ms/frame",
        size: str = f"{_WIDTH}x{_HEIGHT}",
    ) -> Row:
        scale = 1e3 / self._frames if unit == "ms/frame" else 1.0
        return Row(
            suite="video",
            operation=operation,
            size=f"{size}, {self._frames} frames" if unit == "ms/frame" else size,
            threads=self.threads,
            device="cpu",
            peer=peer,
            unit=unit,
            ours=ours * scale,
            theirs=theirs * scale,
            target=target,
            floor=None,
            floor_basis="",
            counted=counted,
            agreement=agreement,
        )


def _engine(found: Arrays) -> str:
    """Name and precision of what ran."""
    return found["engine"].tobytes().decode()


def _texts(names: Mapping[int, str]) -> dict[str, str]:
    """As JSON knows them."""
    return {str(number): name for number, name in names.items()}


def _speed(found: Arrays) -> str:
    """What limited our side."""
    speed = json.loads(found["speed"].tobytes())
    stages = ", ".join(f"{stage['name']} {stage['share']:.0%}" for stage in speed["stages"])
    return f"Bottleneck: {speed['bottleneck']} ({stages})"
