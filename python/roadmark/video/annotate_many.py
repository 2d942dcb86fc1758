"""`infer` on the machines of a cluster: a video, or a folder of pictures, at a time."""

import collections
import contextlib
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from roadmark import locations, manifest
from roadmark.cluster import jobs, sources
from roadmark.cluster.choice import Choice
from roadmark.cluster.jobs import Job, JobResult
from roadmark.cluster.task import Task, Work
from roadmark.errors import UserError
from roadmark.storage import address
from roadmark.video import frame_detector, request
from roadmark.video.annotator import Annotator, Settings

VIDEO_SUFFIXES = (
    ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts",
    ".webm", ".wmv",
)  # fmt: skip
_MODELS = ("model", "classify", "side_by_side")


def annotate_many(
    settings: Settings,
    video: str | None,
    images: str | None,
    out: str,
    choice: Choice,
    elsewhere: Mapping[str, str | None],
) -> JobResult:
    """Annotates many videos, or folders of pictures, and prints a line for each.

    Args:
        settings: What is asked for, with models that are on this machine.
        video: Videos, as `sources.files` takes them, or None.
        images: Folders of pictures, as `sources.folders` takes them, or None.
        out: Folder for results: a path that all machines see, or an address.
        choice: The cluster.
        elsewhere: By attributes of `settings`: the models as other machines find them.

    Raises:
        UserError: There is no such source or model, two sources would be written as one, or as
            `jobs.run`.
    """
    settings.request(video, images, None).check_choices()
    if settings.resume:
        raise UserError("--resume", "found --cluster beside it, which does so", "leave it out")
    tasks = sources.files(video, VIDEO_SUFFIXES) if video else sources.folders(images or "")
    _check_names(tasks, settings, is_video=bool(video))
    settings = dataclasses.replace(settings, model=settings.model or str(locations.newest_export()))
    _check_models(settings)
    there = {name: _seen_by_all(elsewhere[name] or getattr(settings, name)) for name in _MODELS}
    job = Job(
        what="annotating",
        unit="videos" if video else "folders",
        make=functools.partial(_make, dataclasses.replace(settings, **there), bool(video)),
        out=out if address.is_remote(out) else str(Path(out).absolute()),
        settings=_facts(settings),
        told=functools.partial(_told, "frames" if video else "pictures"),
    )
    result = jobs.run(job, tasks, choice)
    objects: collections.Counter[str] = collections.Counter()
    for facts in result.facts.values():
        objects.update(facts["objects"])
    failed = f", {len(result.failures)} failed" if result.failures else ""
    print(f"{out}: {len(result.facts)} of {len(tasks)} {job.unit}{failed}")
    print(f"in all: {request.summary(objects, settings.score_threshold)}")
    return result


def _make(settings: Settings, is_video: bool) -> Work:
    """Loads the models, in a process of the cluster."""
    held = contextlib.ExitStack()  # until the process ends
    given = {name: getattr(settings, name) for name in _MODELS}
    here = {
        name: str(held.enter_context(sources.fetched(place)))
        for name, place in given.items()
        if place is not None
    }
    settings = dataclasses.replace(settings, **here)
    annotator = Annotator(settings, _say_nothing)

    def work(task: Task, folder: Path) -> dict[str, Any]:
        notes: list[str] = []
        with sources.fetched(task.source) as source:
            wanted = _request(settings, str(source), is_video)
            parent = folder / PurePosixPath(task.name).parent
            parent.mkdir(parents=True, exist_ok=True)
            wanted = dataclasses.replace(wanted, out=str(parent / wanted.output.name))
            wanted.check()
            found = annotator.annotate(wanted, notes.append)
        return {"pictures": found.pictures, "objects": dict(found.result.objects), "notes": notes}

    return work


def _say_nothing(line: str) -> None:
    """What each process of a cluster has loaded, nobody wants to know."""


def _request(settings: Settings, source: str, is_video: bool) -> request.Request:
    return settings.request(source if is_video else None, None if is_video else source, None)


def _check_names(tasks: Sequence[Task], settings: Settings, is_video: bool) -> None:
    written: dict[PurePosixPath, str] = {}
    for task in tasks:
        name = _request(settings, task.name, is_video).output.name
        first = written.setdefault(PurePosixPath(task.name).parent / name, task.name)
        if first != task.name:
            raise UserError(
                task.name, f"would be written as {name}, like {first}", "rename one of them"
            )


def _check_models(settings: Settings) -> None:
    """Raises UserError for what every machine would find."""
    description = manifest.load(settings.model or "", settings.trust)
    frame_detector.class_ids(description.names(), settings.classes)
    for folder in (settings.classify, settings.side_by_side):
        if folder is not None and not (Path(folder) / locations.MANIFEST).is_file():
            raise UserError(folder, "is no exported model", "export one with: //python:export")


def _facts(settings: Settings) -> dict[str, Any]:
    """What results depend on, whatever the machine; JSON can hold it."""
    found = {
        one.name: getattr(settings, one.name)
        for one in dataclasses.fields(settings)
        if one.name != "label"
    }
    found["span"] = dataclasses.asdict(settings.span)
    for name in _MODELS:
        if found[name] is not None:
            found[name] = manifest.sha256(Path(found[name]) / locations.MANIFEST)
    return found


def _told(unit: str, facts: Mapping[str, Any]) -> str:
    notes = "".join(f" ({note})" for note in facts["notes"])
    return f"{facts['pictures']} {unit}, {sum(facts['objects'].values())} detections{notes}"


def _seen_by_all(given: str | None) -> str | None:
    if given is None or address.is_remote(given):
        return given
    return str(Path(given).absolute())
