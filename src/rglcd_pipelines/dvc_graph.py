"""DVC's view of the pipelines: `dvc.yaml`, written from them so that it cannot drift.

    python -m rglcd_pipelines.dvc_graph           writes dvc.yaml
    python -m rglcd_pipelines.dvc_graph --check   fails when it differs from the pipelines

A stage of DVC is a stage of Kedro: its parameters and outputs come from Kedro's own snapshot of the project.
Students are many: each variant is a stage of its own, with the parameters that are its own.
What its nodes only pass to each other, without a place in the catalog, is no output. A parameter that names a
path inside `data/` is a dependency. A recipe is frozen: git has what it makes, so DVC neither runs it nor
keeps a copy. What runs on request only, as publishing does, is no stage.
Code is no dependency: what changes data counts up the format number in `made_from` instead, so that a
renamed variable does not cost a night of encoding. Nor are files outside of the project (your own shards, a
list of URLs): `kedro run` notices when they change, `dvc repro` does not.
"""

import argparse
from pathlib import Path
from typing import Any, NoReturn

from rglcd_pipelines.config import check
from rglcd_pipelines.dvc_record import value_of
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.pipeline_registry import ON_REQUEST, RECIPES
from rglcd_pipelines.pipelines.parameters import data_paths
from rglcd_pipelines.training.settings import VariantConfig

ParameterFiles = dict[str, tuple[str, Any]]

FILE = "dvc.yaml"
VARIED = "distill"
"""The stage that there is once for each variant."""
HEADER = "# Written by `python -m rglcd_pipelines.dvc_graph` from the registered pipelines; do not edit.\n"


def graph(project: Path) -> dict[str, Any]:
    """The content of dvc.yaml: one stage for each pipeline stage of the base environment."""
    files = _parameter_files(project)
    stages = _of_snapshot(project, files, None)
    del stages[VARIED]  # the default variant's comes again with all others
    for variant in files["variants"][1]:
        stages[f"{VARIED}-{variant}"] = _of_snapshot(project, files, variant)[VARIED]
    return {"stages": stages}


def _of_snapshot(project: Path, files: ParameterFiles, variant: str | None) -> dict[str, Any]:
    """Every stage as Kedro sees it, where `variant` is asked for."""
    from kedro.inspection import get_project_snapshot

    asked = {"variant": variant} if variant else None
    snapshot = get_project_snapshot(project, env="base", runtime_params=asked)
    nodes = {node.name: node for pipeline in snapshot.pipelines for node in pipeline.nodes}
    paths = {
        name: _path(dataset.filepath, project)
        for name, dataset in snapshot.datasets.items()
        if dataset.filepath is not None
    }
    stages: dict[str, Any] = {}
    for node in nodes.values():
        (stage,) = node.tags
        if stage in ON_REQUEST:
            continue
        entry = stages.setdefault(stage, {"inputs": set(), "params": set(), "outputs": set()})
        for name in node.inputs:
            if name.startswith("params:"):
                entry["params"].add(name.removeprefix("params:"))
            else:
                entry["inputs"].add(name)
        entry["outputs"] |= set(node.outputs)
    return {name: _stage(name, entry, paths, files, variant) for name, entry in stages.items()}


def _stage(
    name: str, entry: dict[str, Any], paths: dict[str, str], files: ParameterFiles, variant: str | None
) -> dict[str, Any]:
    homeless = sorted(name for name in entry["inputs"] - entry["outputs"] if name not in paths)
    if homeless:
        raise ConfigError(f"{homeless[0]}: passes between two stages; catalog.yml must give it a filepath.")
    params: dict[str, list[str]] = {}
    deps = {paths[name] for name in entry["inputs"] - entry["outputs"]}
    for key in sorted(key for key in entry["params"] if not key.startswith("places")):
        file, values = files.get(key) or _missing(key)
        for own in _own_keys(key, files, variant):
            params.setdefault(file, []).append(own)
            deps |= set(data_paths(value_of({key: values}, own)))
    outs = sorted(paths[name] for name in entry["outputs"] if name in paths)
    frozen = name in RECIPES
    described = {
        "cmd": f"kedro run --pipelines={name}" + (f" --params=variant={variant}" if variant else ""),
        "deps": sorted(deps),
        "params": [{file: keys} for file, keys in params.items()],
        "outs": [{out: {"cache": False}} for out in outs] if frozen else outs,
        "frozen": frozen,
    }
    return {key: value for key, value in described.items() if value}


def _own_keys(key: str, files: ParameterFiles, variant: str | None) -> list[str]:
    """What a variant depends on of a parameter: itself among the variants, its rewards among all."""
    if variant is None or key not in ("variant", "variants", "rewards"):
        return [key]
    if key == "variant":
        return []
    chosen = check(VariantConfig, files["variants"][1][variant], f"variants.{variant}")
    return [f"variants.{variant}"] if key == "variants" else [f"rewards.{name}" for name in chosen.rewards]


def _parameter_files(project: Path) -> ParameterFiles:
    """Every parameter of the base environment: the file that it stands in, and its value.

    Plain literals, that DVC reads as they are.
    """
    import yaml

    found: ParameterFiles = {}
    for file in sorted((project / "conf" / "base").glob("parameters*.yml")):
        values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        found |= {key: (_path(str(file), project), value) for key, value in values.items()}
    return found


def _missing(key: str) -> NoReturn:
    raise ConfigError(f"{key}: a node asks for this parameter, but no conf/base/parameters_*.yml has it.")


def _path(filepath: str, project: Path) -> str:
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
