"""The training loop, its checkpoints, the launching of processes, and what is watched while it trains."""
