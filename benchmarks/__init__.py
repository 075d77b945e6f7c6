"""Measurements that the project's claims rest on; each is `python -m benchmarks.NAME`."""
