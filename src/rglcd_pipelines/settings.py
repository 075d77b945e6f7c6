"""Kedro's settings: which hooks run, and how configuration is read."""

from typing import Any

from kedro.config import OmegaConfigLoader
from omegaconf import OmegaConf

from rglcd_pipelines.hooks import ProjectHooks, TrackingHooks

BASE = "base"


class EnvironmentConfigLoader(OmegaConfigLoader):
    """OmegaConf's loader, plus `${env:}`: the running environment's name, which is in every data path."""

    def __getitem__(self, key: str) -> dict[str, Any]:
        # Resolvers are global to the process: each loader puts its own in place before it resolves anything.
        OmegaConf.register_new_resolver("env", lambda: self.env or BASE, replace=True)
        return super().__getitem__(key)


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
