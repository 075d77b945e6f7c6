"""A package, or else the `tests` that torch-fidelity installs would be found in its place."""
