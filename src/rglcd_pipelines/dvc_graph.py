"""DVC's view of the pipelines: `dvc.yaml`, written from them so that it cannot drift.

    python -m rglcd_pipelines.dvc_graph           writes dvc.yaml
    python -m rglcd_pipelines.dvc_graph --check   fails when it differs from the pipelines

A stage of DVC is a stage of Kedro: its parameters and outputs come from Kedro's own snapshot of the project.
Code is no dependency: what changes data counts up the format number in `made_from` instead, so that a
renamed variable does not cost a night of encoding. Nor are files outside of the project (your own shards, a
list of URLs): `kedro run` notices when they change, `dvc repro` does not.
"""

import argparse
from pathlib import Path
from typing import Any

from rglcd_pipelines.errors import ConfigError

FILE = "dvc.yaml"
HEADER = "# Written by `python -m rglcd_pipelines.dvc_graph` from the registered pipelines; do not edit.\n"


def graph(project: Path) -> dict[str, Any]:
    """The content of dvc.yaml: one stage for each pipeline stage of the base environment."""
    from kedro.inspection import get_project_snapshot

    snapshot = get_project_snapshot(project, env="base")
    whole = next(pipeline for pipeline in snapshot.pipelines if pipeline.name == "__default__")
    stages: dict[str, Any] = {}
    for node in whole.nodes:
        (stage,) = node.tags
        entry = stages.setdefault(
            stage, {"cmd": f"kedro run --pipelines={stage}", "deps": set(), "params": set(), "outs": set()}
        )
        entry["deps"] |= {
            _path(snapshot.datasets[name].filepath, project)
            for name in node.inputs
            if name in snapshot.datasets
        }
        entry["params"] |= {
            name.removeprefix("params:") for name in node.inputs if name.startswith("params:")
        }
        entry["outs"] |= {_path(snapshot.datasets[name].filepath, project) for name in node.outputs}
    return {"stages": {name: _ordered(entry, project) for name, entry in stages.items()}}


def _ordered(entry: dict[str, Any], project: Path) -> dict[str, Any]:
    keys = sorted(name for name in entry["params"] if not name.startswith("places."))
    ordered = {
        "cmd": entry["cmd"],
        "deps": sorted(entry["deps"] - entry["outs"]),
        "params": [{_parameter_file(key, project): [key]} for key in keys],
        "outs": sorted(entry["outs"]),
    }
    return {key: value for key, value in ordered.items() if value}


def _parameter_file(key: str, project: Path) -> str:
    """Each stage's parameters stand in a file of their own, in plain literals that DVC reads as they are."""
    file = f"conf/base/parameters_{key.split('.')[0]}.yml"
    if not (project / file).is_file():
        raise ConfigError(f"{file}: is missing; the parameters of a stage stand in a file named after it.")
    return file


def _path(filepath: str | None, project: Path) -> str:
    if filepath is None:
        raise ConfigError(
            "A dataset between two stages has no filepath in catalog.yml; DVC cannot follow it."
        )
    path = Path(filepath)
    return (path.relative_to(project) if path.is_absolute() else path).as_posix()


def text(project: Path) -> str:
    """dvc.yaml, as it should be."""
    import yaml

    return HEADER + yaml.safe_dump(graph(project), sort_keys=False, allow_unicode=True, width=100)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m rglcd_pipelines.dvc_graph", description="Write dvc.yaml."
    )
    parser.add_argument("--check", action="store_true", help="fail if dvc.yaml differs, and write nothing")
    arguments = parser.parse_args()
    project = Path.cwd()
    file, wanted = project / FILE, text(project)
    if arguments.check:
        if not file.is_file() or file.read_text(encoding="utf-8") != wanted:
            print(f"{FILE} is not what the pipelines say. Write it: python -m rglcd_pipelines.dvc_graph")
            return 1
        return 0
    file.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
