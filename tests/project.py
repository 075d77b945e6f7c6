"""A checkout to run commands in."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "KEDRO_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@dataclass(frozen=True)
class Project:
    """A checkout to run commands in."""

    path: Path

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """The command as a user would type it; its outputs are kept."""
        return subprocess.run(
            command,
            cwd=self.path,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        """The same, under way; what it says goes nowhere."""
        return subprocess.Popen(
            command,
            cwd=self.path,
            env=self._environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST"))}
        tools = Path(sys.executable).parent
        return kept | {
            **TELEMETRY_OFF,
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.path / "src"),
            "OMP_NUM_THREADS": "1",
        }

    def mlflow(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the tracking database."""
        with sqlite3.connect(self.path / "mlflow.db") as database:
            return database.execute(query).fetchall()

    def set(self, file: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Edit a YAML file of the configuration, as a user would."""
        path = self.path / "conf" / file
        content = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
        change(content)
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
