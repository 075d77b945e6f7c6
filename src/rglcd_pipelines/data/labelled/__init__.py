"""Labelled images, as ImageNet's: where they come from, and how they become shards that `encode` takes."""
