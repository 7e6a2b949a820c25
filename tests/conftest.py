"""What all tests share: a machine under load may take its time, tests assert behaviour."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
