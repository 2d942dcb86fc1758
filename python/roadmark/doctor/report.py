"""Everything the doctor knows, as data and as one screen."""

import dataclasses
import json

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from roadmark.doctor import machine, software

# What the main job needs of the lock and neither the OD API nor the encoder would miss.
_NEEDED_PACKAGES = ("opencv-python-headless", "faster-coco-eval")
_INSTALL_AGAIN = "install the locked packages again"


@dataclasses.dataclass(frozen=True)
class Report:
    """What was found.

    Attributes:
        machine: Processor, memory, disk, GPUs.
        versions: Package to version or `missing`.
        object_detection_api: Whether the OD API opens.
        native_operations_problem: Why the native operations do not load, or empty.
        h264_encoder: Name of the encoder for videos, or None.
        tools: What features need beside the locked packages.
    """

    machine: machine.Machine
    versions: dict[str, str]
    object_detection_api: software.ObjectDetectionApi
    native_operations_problem: str
    h264_encoder: str | None
    tools: tuple[software.Tool, ...]

    @property
    def healthy(self) -> bool:
        """Whether prepare, train, evaluate, export and infer can work."""
        return (
            self.object_detection_api.opens
            and not self.native_operations_problem
            and self.h264_encoder is not None
            and all(self.versions[name] != software.MISSING for name in _NEEDED_PACKAGES)
        )


def examine() -> Report:
    """Looks at everything; takes as long as TensorFlow needs to start."""
    return Report(
        machine=machine.look(),
        versions=software.versions(),
        object_detection_api=software.open_object_detection_api(),
        native_operations_problem=software.native_operations_problem(),
        h264_encoder=software.h264_encoder(),
        tools=software.tools(),
    )


def as_json(report: Report) -> str:
    """The report as indented JSON, with `healthy` added."""
    return json.dumps({**dataclasses.asdict(report), "healthy": report.healthy}, indent=2)


def show(report: Report, console: Console) -> None:
    """Prints the report."""
    console.print(Group(_main(report), _missing(report.tools), _verdict(report)))


def _main(report: Report) -> RenderableType:
    rows = Table(box=None, show_header=False, pad_edge=False)
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column(overflow="fold")
    computer = report.machine
    rows.add_row("system", escape(computer.system))
    rows.add_row("processor", f"{escape(computer.cpu.model)}, {computer.cpu.cores} cores")
    rows.add_row("", _features(computer.cpu.features))
    rows.add_row(
        "memory",
        f"{computer.memory_gb:.1f} GB, {computer.available_memory_gb:.1f} GB available; "
        f"disk {computer.free_disk_gb:.1f} GB free",
    )
    rows.add_row("GPUs", _gpus(computer.gpus, report.object_detection_api))
    rows.add_row("versions", ", ".join(_version(*item) for item in report.versions.items()))
    rows.add_row("OD API", _object_detection_api(report.object_detection_api))
    rows.add_row(
        "native operations",
        f"[red]{escape(report.native_operations_problem)}[/]"
        if report.native_operations_problem
        else "[green]load[/]",
    )
    rows.add_row("H.264", report.h264_encoder or f"[red]no encoder: {_INSTALL_AGAIN}[/]")
    for tool in report.tools:
        if tool.found is not None:
            rows.add_row(tool.name, escape(tool.found))
    return rows


def _features(features: dict[str, bool]) -> Text:
    there = [name for name, is_there in features.items() if is_there]
    absent = [name for name, is_there in features.items() if not is_there]
    shown = Text(" ".join(there), style="green")
    if absent:
        # In words, since a file or a log shows no styles.
        shown.append(f"{'; ' if there else ''}without {' '.join(absent)}", style="dim")
    return shown


def _gpus(gpus: tuple[machine.Gpu, ...], api: software.ObjectDetectionApi) -> str:
    if not gpus:
        return "none found; everything runs on the processor"
    listed = escape("; ".join(map(_gpu, gpus)))
    if api.gpus:
        return f"{listed}; TensorFlow sees {len(api.gpus)}"
    return f"{listed}; [yellow]TensorFlow sees none: add --config=cuda to bazel[/]"


def _gpu(gpu: machine.Gpu) -> str:
    memory = "memory unknown" if gpu.memory_gb is None else f"{gpu.memory_gb:.0f} GB"
    return f"{gpu.name}, {memory}, driver {gpu.driver}, compute capability {gpu.compute_capability}"


def _version(name: str, version: str) -> str:
    if version != software.MISSING:
        return f"{name} [cyan]{escape(version)}[/]"
    if name in _NEEDED_PACKAGES:
        return f"{name} [red]missing: {_INSTALL_AGAIN}[/]"
    return f"{name} [red]missing[/]"


def _object_detection_api(api: software.ObjectDetectionApi) -> str:
    return "[green]opens on this TensorFlow[/]" if api.opens else f"[red]{escape(api.problem)}[/]"


def _missing(tools: tuple[software.Tool, ...]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("missing", no_wrap=True, style="yellow")
    table.add_column("needed for", no_wrap=True)
    table.add_column("how to get it", overflow="fold")
    for tool in tools:
        if tool.found is None:
            table.add_row(tool.name, tool.feature, escape(tool.get_it))
    return table


def _verdict(report: Report) -> str:
    if report.healthy:
        return "[green]prepare, train, evaluate, export and infer can work here[/]"
    return "[red]the main job cannot work here: see the red lines above[/]"
