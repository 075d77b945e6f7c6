"""How a benchmark tells its result: a table for people, then one line of JSON for machines."""

import json
import operator
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


def report(name: str, figures: Mapping[str, Any], bars: Mapping[str, tuple[float, str]]) -> bool:
    """Print what was measured and which bars hold, such as (5210.0, ">= 2000"); whether all of them do."""
    judged = {
        bar: {"value": value, "bar": condition, "holds": holds(value, condition)}
        for bar, (value, condition) in bars.items()
    }
    width = max(map(len, [*figures, *bars]), default=0)
    print(name)
    for figure, value in figures.items():
        print(f"  {figure:{width}}  {_short(value)}")
    for bar, result in judged.items():
        verdict = "holds" if result["holds"] else "FAILS"
        print(f"  {bar:{width}}  {_short(result['value'])}  (bar {result['bar']}: {verdict})")
    print(json.dumps({"benchmark": name, "figures": dict(figures), "bars": judged}), flush=True)
    return all(result["holds"] for result in judged.values())


def peak_of(benchmark: str, way: str, batch: int) -> float:
    """The MiB that `python -m benchmarks.BENCHMARK --peak WAY` tells: in a process of its own."""
    command = [sys.executable, "-m", f"benchmarks.{benchmark}", "--peak", way, "--batch", str(batch)]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(told.stdout.split()[-1])


def peak_beyond(step: Callable[[], object], times: int = 3) -> float:
    """MiB that some steps take at most beyond what is there before them, in this process."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew here
    loaded = _memory("VmRSS")
    for _ in range(times):
        step()
    return _memory("VmHWM") - loaded


def _memory(what: str) -> float:
    """MiB, as Linux counts them; getrusage's peak is at least that of the process that started this one."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def holds(value: float, condition: str) -> bool:
    comparison, _, limit = condition.partition(" ")
    return COMPARISONS[comparison](value, float(limit))


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1e4 else str(value)
