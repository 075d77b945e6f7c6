"""Kedro's settings: which hooks run, and how configuration is read."""

from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from omegaconf import OmegaConf

from rglcd_pipelines import error_messages, pipeline_registry
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.hooks import ProjectHooks
from rglcd_pipelines.tracking import TrackingHooks

BASE = "base"

error_messages.install()


class EnvironmentConfigLoader(OmegaConfigLoader):
    """OmegaConf's loader, plus `${env:}`: the running environment's name, which is in every data path.

    An environment that does not exist, or a file that nothing would read, is refused.
    """

    def __init__(self, conf_source: str, env: str | None = None, **arguments: Any) -> None:
        if env == "local" and not Path(conf_source, env).is_dir():
            env = None  # what `kedro mlflow ui` asks for when it is not told any
        self._check_environment(Path(conf_source), env or BASE)
        super().__init__(conf_source=conf_source, env=env, **arguments)
        self._check_files(Path(conf_source) / (env or BASE))

    def __getitem__(self, key: str) -> dict[str, Any]:
        # Resolvers are global to the process: each loader puts its own in place before it resolves anything.
        OmegaConf.register_new_resolver("env", lambda: self.env or BASE, replace=True)
        self._register_globals_resolver()
        found = super().__getitem__(key)
        if key == "parameters":
            pipeline_registry.follow(found)
        elif key == "catalog":
            self["parameters"]  # whoever wants the datasets wants the graph too, which follows these
        return found

    def _check_environment(self, conf: Path, env: str) -> None:
        if not (conf / env).is_dir():
            there = sorted(folder.name for folder in conf.iterdir() if folder.is_dir())
            near = get_close_matches(env, there, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(there)}"
            raise ConfigError(f"--env={env}: there is no such environment in {conf}; {hint}")

    def _check_files(self, folder: Path) -> None:
        patterns = [pattern for group in self.config_patterns.values() for pattern in group]
        for file in sorted(folder.rglob("*.y*ml")):
            name = file.relative_to(folder).as_posix()
            if not any(fnmatch(name, pattern) for pattern in [*patterns, "mlflow*"]):
                raise ConfigError(
                    f"{file}: nothing reads a file of this name. Parameters stand in parameters_STAGE.yml, "
                    "datasets in catalog.yml, tracking in mlflow.yml."
                )


HOOKS = (ProjectHooks(), TrackingHooks())
# TrackingHooks is kedro-mlflow's own hook with our parameters flattened: not both.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro_mlflow",)

CONFIG_LOADER_CLASS = EnvironmentConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": BASE,
    "default_run_env": BASE,
    # Without this an environment that changes one parameter would replace the whole tree around it.
    "merge_strategy": dict.fromkeys(("parameters", "catalog", "mlflow", "globals"), "soft"),
}
