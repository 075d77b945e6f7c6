"""One Kedro pipeline a stage, thin: the nodes only join the rooms below."""
