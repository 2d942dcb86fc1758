"""Compares the CUDA operations with the core's, bit by bit: a part of gpu_check.py.

Prints what differs, and writes what it found so far after every case. Exit code 0: all cases are
equal; 1: one is not; 2: there is no GPU, or something needed is missing. `--list` needs neither.
"""

import argparse
import importlib
import json
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

# A name, a function of gpu_check_comparisons.py, and its keywords.
Case = tuple[str, str, dict]

OPTIONS = {
    "hard": {"score_threshold": 0.0, "iou_threshold": 0.5, "per_class": 1000, "total": 1000},
    "low IoU threshold": {
        "score_threshold": 0.3,
        "iou_threshold": 0.2,
        "per_class": 1000,
        "total": 1000,
    },
    "limits": {"score_threshold": 0.3, "iou_threshold": 0.8, "per_class": 5, "total": 12},
    "soft": {
        "score_threshold": 0.1,
        "iou_threshold": 0.5,
        "per_class": 20,
        "total": 40,
        "sigma": 0.5,
    },
}


def suppression_cases(few: bool) -> Iterator[Case]:
    """Names, comparisons and keywords of the cases of suppression."""
    counts = [1, 33, 600] if few else [1, 33, 1000, 5000]
    for name, options in OPTIONS.items():
        for count in counts:
            for classes in (1, 7):
                yield (
                    f"nms, {count} boxes, {classes} classes, {name}",
                    "check_nms",
                    {
                        "count": count,
                        "classes": classes,
                        "options": options,
                    },
                )
        for count in [40, 600] if few else [40, 600, 9000]:
            for shared in (True, False):
                case = {"count": count, "classes": 5, "options": options, "shared": shared}
                of = f"{count} boxes, {'shared' if shared else 'per class'}, {name}"
                yield f"multiclass nms, {of}", "check_multiclass", case
                yield (
                    f"class-agnostic nms, {of}",
                    "check_multiclass",
                    case | {"class_agnostic": True},
                )
                yield f"best 50 candidates, {of}", "check_multiclass", case | {"max_candidates": 50}
    if not few:
        for classes in (1, 3):
            yield (
                f"nms, 40000 boxes, {classes} classes",
                "check_nms",
                {
                    "count": 40000,
                    "classes": classes,
                    "options": OPTIONS["limits"] | {"total": 300, "per_class": 100},
                },
            )


def other_cases(few: bool) -> Iterator[Case]:
    """Names, comparisons and keywords of all other cases."""
    for count in (1, 1000) if few else (1, 1000, 76725):
        yield f"box coder, {count}", "check_box_coder", {"count": count}
    for name, options in OPTIONS.items():
        for converter in ("identity", "sigmoid", "softmax"):
            for choices in (
                {},
                {"background_column": True, "logit_scale": 1.7},
                {"class_agnostic": True},
                {"box_per_class": True, "proposals": True},
            ):
                for count in (300,) if few else (300, 20000):
                    of = ", ".join([name, converter, str(count), *choices])
                    yield (
                        f"post-processing, {of}",
                        "check_postprocess",
                        {
                            "count": count,
                            "classes": 20,
                            "options": options,
                            "score_converter": converter,
                            **choices,
                        },
                    )
    for per_row in (1, 20):
        yield (
            f"post-processing with {per_row} masks a row",
            "check_postprocess",
            {"count": 300, "classes": 20, "options": OPTIONS["hard"], "masks_per_row": per_row},
        )
    for size in ((48, 64), (101, 203)) if few else ((48, 64), (101, 203), (1080, 1920)):
        for objects in (1, 20) if few else (1, 20, 300):
            for masks in (False, True):
                for trails in (False, True):
                    if masks and size[0] * size[1] * objects > 50_000_000:
                        continue
                    case = {"size": size, "objects": objects, "masks": masks, "trails": trails}
                    of = ", ".join(
                        [f"{size}, {objects} objects", *(k for k in case if case[k] is True)]
                    )
                    yield f"drawing, {of}", "check_annotate", case
    for size in ((26, 40), (31, 45), (5, 7)):
        for nv12 in (False, True):
            for layout in ("NHWC", "NCHW"):
                for dtype in ("float32", "bfloat16", "uint8"):
                    of = f"{size}, {'NV12' if nv12 else 'RGB'}, {layout}, {dtype}"
                    yield (
                        f"pre-processing, {of}",
                        "check_preprocess",
                        {
                            "size": size,
                            "nv12": nv12,
                            "layout": layout,
                            "dtype": dtype,
                        },
                    )
    hard = {"options": OPTIONS["hard"]}
    yield "on a stream of its own", "check_other_stream", hard
    if not few:
        yield "in a CUDA graph", "check_graph", hard
        yield "without waiting", "check_no_waiting", hard


def cases(few: bool) -> list[Case]:
    """All of them; `few` leaves out what takes long under compute-sanitizer."""
    return [*suppression_cases(few), *other_cases(few)]


def load_comparisons(extensions: Path) -> ModuleType:
    """The comparisons, with `_native` and `_cuda` from a folder; raises ImportError."""
    import roadmark.ops

    roadmark.ops.__path__.append(str(extensions))
    comparisons = importlib.import_module("tools.gpu_check_comparisons")
    if not comparisons.torch.cuda.is_available():
        raise ImportError("PyTorch sees no GPU")
    return comparisons


def run(chosen: list[Case], comparisons: ModuleType, out: Path) -> int:
    """Runs the cases; returns the exit code."""
    import numpy as np

    results = []
    for number, (name, check, keywords) in enumerate(chosen):
        try:
            detail = getattr(comparisons, check)(np.random.default_rng(number), **keywords)
        except Exception as error:
            detail = f"{type(error).__name__}: {error}".splitlines()[0]
            traceback.print_exc(limit=3)
        results.append({"name": name, "ok": not detail, "detail": detail})
        if detail:
            print(f"{name}: {detail}", flush=True)
        out.write_text(json.dumps({"cases": results}))
    bad = sum(not result["ok"] for result in results)
    print(f"{len(results) - bad} of {len(results)} cases equal the CPU's in every bit")
    return 1 if bad else 0


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="gpu_check_cases.py", description=__doc__)
    parser.add_argument("extensions", type=Path, nargs="?", help="folder of _native.so, _cuda.so")
    parser.add_argument("out", type=Path, nargs="?", help="JSON file to write")
    parser.add_argument("--few", action="store_true", help="small cases only")
    parser.add_argument("--list", action="store_true", help="print the cases' names and stop")
    options = parser.parse_args(arguments)
    if not options.list and not options.out:
        parser.error("expected the extensions' folder and a file to write")
    return options


def main(arguments: list[str]) -> int:
    """Lists or runs the cases; returns the exit code."""
    options = parse_arguments(arguments)
    chosen = cases(options.few)
    if options.list:
        print("\n".join(name for name, _, _ in chosen))
        return 0
    try:
        comparisons = load_comparisons(options.extensions)
    except ImportError as error:
        said = str(error).splitlines()[0]
        print(
            f"gpu_check_cases: {said}; expected a GPU, PyTorch with CUDA, and extensions that "
            "tools/gpu_check has built",
            file=sys.stderr,
        )
        return 2
    return run(chosen, comparisons, options.out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
