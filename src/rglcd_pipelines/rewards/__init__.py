"""Reward models behind one protocol, their image preprocessing, and weighted mixes."""
