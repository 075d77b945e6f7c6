"""Pairs of pictures of which one pleases more, as people would say it: what the stand-ins learn from."""

from rglcd_pipelines.world.preferences.load import Preferences, load_preferences
from rglcd_pipelines.world.preferences.measure import measure
from rglcd_pipelines.world.preferences.pairs import PreferencesConfig, make_preferences

__all__ = ["Preferences", "PreferencesConfig", "load_preferences", "make_preferences", "measure"]
