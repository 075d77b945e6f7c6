"""The miniature world: its renderer, its rules of taste, its small pretrained models."""
