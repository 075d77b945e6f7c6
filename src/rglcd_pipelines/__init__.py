"""Reward guided latent consistency distillation, as pipelines."""

import os

# OpenMP's threads wait for each other by spinning. Where another program wants the cores too, they spin while
# the one that they wait for is not running: on two busy cores a training was six times slower than asleep.
# Read when torch is loaded, so it stands here, before anything imports it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
