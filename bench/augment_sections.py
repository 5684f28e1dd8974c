"""The sections of the comparison of augmentation, each a function that returns Markdown."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import numpy as np
import targets
from comparison import Comparison
from measure import Result
from pixels import sets, speed
from results import figure, number, table, verdict
from scipy.stats import norm

NAMES = {
    "ours": "ours",
    "opencv": "OpenCV",
    "opencv_tuned": "OpenCV tuned by hand",
    "albumentations": "albumentations",
    "torchvision": "torchvision v2",
    "kornia": "kornia",
    "slices": "NumPy",
    "memory": "memcpy",
}
DTYPES = ("uint8", "float32")
Rates = dict[str, dict[str, float]]  # operation, then library
SOURCES = {
    "32x32": "the first of cifar10_test",
    "224x224": "tiles of kodak_a",
    "512x512": "tiles of kodak_a",
}


def one_thread(comparison: Comparison) -> str:
    """Images per CPU-second, every library beside ours."""
    runs = {
        (size, dtype): comparison.together("speed.one_thread", dtype, size).get("rates", {})
        for size in comparison.named(tuple(sets.N_IMAGES))
        for dtype in DTYPES
    }
    return (
        "### One thread, images per CPU-second\n\n"
        + "".join(_rates(size, dtype, rates) for (size, dtype), rates in runs.items())
        + "#### Asked and reached, one thread\n\n"
        + _asked(runs)
        + "\n"
        + _what_each_does()
    )


def _rates(size: str, dtype: str, rates: Rates) -> str:
    libraries = [name for name in NAMES if any(name in row for row in rates.values())]
    rows = [
        [speed.OPERATIONS[operation], *(figure(row.get(name)) for name in libraries)]
        for operation, row in rates.items()
    ]
    header = "operation | " + " | ".join(NAMES[name] for name in libraries)
    return f"#### {size}, {dtype}\n\n{table(header, rows)}\n" if libraries else ""


def _asked(runs: dict[tuple[str, str], Rates]) -> str:
    rows = [
        [f"{speed.OPERATIONS[what]}, {size} uint8, times OpenCV", f"at least {least}",
         *_reached(runs.get((size, "uint8"), {}), what, least)]
        for size, asked in targets.AUGMENT_TO_OPENCV.items()
        for what, least in asked.items()
    ]  # fmt: skip
    rows += [_albumentations_pipeline(runs, size) for size in ("224x224", "32x32")]
    rows += [_albumentations_everywhere(runs)]
    rows += [_to_memcpy(runs, what) for what in ("vflip", "crop")]
    return table("what | asked | reached | | beside OpenCV tuned by hand", rows)


def _reached(rates: Rates, operation: str, least: float) -> list[str]:
    direct, tuned = (_times(rates, operation, other) for other in ("opencv", "opencv_tuned"))
    return [figure(direct), _judged(direct, least), figure(tuned or direct)]


def _times(rates: Rates, operation: str, other: str) -> float | None:
    """Our speed / the other's."""
    row = rates.get(operation, {})
    return row["ours"] / row[other] if {"ours", other} <= row.keys() else None


def _judged(value: float | None, least: float) -> str:
    return verdict(None if value is None else value >= least)


def _albumentations_pipeline(runs: dict[tuple[str, str], Rates], size: str) -> list[str]:
    reached = _times(runs.get((size, "uint8"), {}), "pipeline", "albumentations")
    least = targets.AUGMENT_PIPELINE_TO_ALBUMENTATIONS
    return [f"pipeline, {size} uint8, times albumentations", f"at least {least}", figure(reached),
            _judged(reached, least), ""]  # fmt: skip


def _albumentations_everywhere(runs: dict[tuple[str, str], Rates]) -> list[str]:
    times = {
        f"{speed.OPERATIONS[operation]}, {size} {dtype}": found
        for (size, dtype), rates in runs.items()
        for operation in rates
        if (found := _times(rates, operation, "albumentations")) is not None
    }
    asked = ["every operation, times albumentations", "at least 1"]
    if not times:
        return [*asked, "-", "-", ""]
    least = min(times, key=times.__getitem__)
    return [*asked, f"{figure(times[least])} ({least})", _judged(times[least], 1), ""]


def _to_memcpy(runs: dict[tuple[str, str], Rates], operation: str) -> list[str]:
    """Our seconds / those of a copy of as many bytes."""
    times = _times(runs.get(("224x224", "uint8"), {}), operation, "memory")
    seconds, most = None if times is None else 1 / times, targets.AUGMENT_TO_MEMCPY
    return [f"{speed.OPERATIONS[operation]}, 224x224 uint8, seconds / memcpy's", f"at most {most}",
            figure(seconds), verdict(None if seconds is None else seconds <= most), ""]  # fmt: skip


def _what_each_does() -> str:
    batches = "; ".join(
        f"{n} images of {size} ({SOURCES[size]}), crops to {sets.CROPS[side]}, resized crops to "
        f"{sets.RESIZED[side]}, resizes to {sets.SMALLER[side]} and {sets.LARGER[side]}"
        for size, n in sets.N_IMAGES.items()
        for side in [int(size.split("x")[0])]
    )
    return (
        f"Batches: {batches}. RGB, float32 in [0, 1]. Medians of {speed.TURNS[0]} to "
        f"{speed.TURNS[1]} turns of one call; all libraries take turns in one process, so that "
        "every call finds the caches as the others left them, one thread each; CPU "
        "time of the whole process. Every image has its own draws; rotation "
        f"-+{sets.ANGLE:.0f} degrees, noise of standard deviation {sets.SIGMA:.0f} of 255, blur "
        f"{sets.BLUR}, resized crops of {sets.AREA[0]} to 1 of the area, bilinear (a mean over the "
        "area where a resize shrinks: INTER_AREA of OpenCV); "
        "pipeline: flip with probability 0.5, rotate, crop, noise. memcpy: as many bytes as the "
        "operation writes.\n\n"
        + "".join(f"- {_calls(name)}\n" for name in NAMES if name != "memory")
    )


def _calls(name: str) -> str:
    """What a library's module says of itself and of each operation."""
    try:
        module = import_module(f"pixels.{name}")
    except ImportError as error:
        return f"{NAMES[name]} is absent: {error}."
    own = {key: inspect.getdoc(getattr(module, key, None)) for key in speed.OPERATIONS}
    listed = "; ".join(
        f"{speed.OPERATIONS[key]}: {' '.join(text.split()).removesuffix('.')}"
        for key, text in own.items()
        if text and getattr(module, key).__module__ == module.__name__
    )
    return f"{' '.join(inspect.getdoc(module).split()).removesuffix('.')}. {listed}."


def threads(comparison: Comparison) -> str:
    """Ours with several threads beside one, and beside OpenCV's one."""
    if comparison.options.no_ours:
        return "### Threads\n"
    n_jobs = comparison.options.jobs
    rows, least = [], targets.AUGMENT_THREADS
    for size in comparison.named(tuple(sets.N_IMAGES)):
        task = ("speed.several_threads", "uint8", size)
        for operation, rate in comparison.together(*task, n_jobs=n_jobs).get("rates", {}).items():
            gain = rate["several"] / rate["one"]
            rows.append([f"{size}, {speed.OPERATIONS[operation]}",
                         *(figure(rate[key]) for key in ("one", "several", "opencv")),
                         figure(gain), _judged(gain, least),
                         figure(rate["several"] / rate["opencv"])])  # fmt: skip
    header = (
        f"uint8 | 1 thread | {n_jobs} threads | OpenCV, 1 thread | gain | at least {least} | "
        "times OpenCV"
    )
    return "### Threads, images per second of the clock\n\n" + table(header, rows)


def exactness(comparison: Comparison) -> str:
    """Bytes beside float64 results rounded once; the law of the noise."""
    errors = comparison.together("exactness.errors", "uint8", "224x224").get("errors", {})
    noise = comparison.together("exactness.noise", "uint8", "224x224").get("noise", {})
    return (
        "### Exactness of bytes, 224x224\n\n"
        + table(
            "operation | library | exactly rounded | largest error, grey levels",
            [
                [
                    speed.OPERATIONS[operation],
                    NAMES[library],
                    f"{100 * found['exact']:.4f} %",
                    number(found["largest"], 4),
                ]
                for operation, row in errors.items()
                for library, found in row.items()
            ],
        )
        + "\n"
        + _listed_exactness(errors)
        + "\nTruth: `scipy.ndimage` in float64, `affine_transform` of order 1 (rotate: "
        '`mode="grid-constant"`; resized crop, enlarging: half-pixel centres, the window\'s edge '
        "goes on), `gaussian_filter` of the same radius. Every library gets the same angles and "
        "windows. torchvision's antialias filter is bilinear where it enlarges.\n\n"
        "#### Noise of standard deviation 10 on bytes\n\n"
        + _noise_table(noise)
        + "\n"
        + _listed_noise(noise)
    )


def _listed_exactness(errors: dict[str, dict[str, Any]]) -> str:
    own = {what: row["ours"] for what, row in errors.items() if "ours" in row}
    share, error = targets.AUGMENT_EXACT_SHARE, targets.AUGMENT_LARGEST_ERROR
    return "".join(
        f"- ours, {speed.OPERATIONS[what]}: at least {100 * share} % exactly rounded, largest "
        f"error at most {error}: {100 * found['exact']:.4f} %, {found['largest']:.4f}: "
        f"{verdict(found['exact'] >= share and found['largest'] <= error)}.\n"
        for what, found in own.items()
    )


def _noise_table(noise: Result) -> str:
    zeros = norm.cdf(0.5 / sets.SIGMA) - norm.cdf(-0.5 / sets.SIGMA)
    black = norm.cdf(0.5 / sets.SIGMA)
    rounded = np.sqrt(sets.SIGMA**2 + 1 / 12)
    rows = [["rounded Gaussian (truth)", number(rounded, 3), "0.000", _share(zeros), _share(black)]]
    rows += [
        [NAMES[library], number(found["sigma"], 3), number(found["mean"], 3),
         _share(found["zeros"]), _share(found["black"])]
        for library, found in noise.items()
    ]  # fmt: skip
    return table("library | deviation on grey | mean | mass at 0 on grey | black on black", rows)


def _share(value: float) -> str:
    return f"{100 * value:.2f} %"


def _listed_noise(noise: Result) -> str:
    if "ours" not in noise:
        return ""
    off = abs(noise["ours"]["sigma"] / sets.SIGMA - 1)
    most = targets.AUGMENT_SIGMA_ERROR
    return (
        f"- ours, deviation within {100 * most} % of {sets.SIGMA:.0f}: off by {100 * off:.2f} %: "
        f"{verdict(off <= most)}.\n"
    )
