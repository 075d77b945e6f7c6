"""Reward guided latent consistency distillation, as pipelines."""

__version__ = "0.1.0"
