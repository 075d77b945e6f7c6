"""Property tests share the machine with others and import slowly the first time: no deadlines."""

from hypothesis import settings

settings.register_profile("no deadlines", deadline=None)
settings.load_profile("no deadlines")
