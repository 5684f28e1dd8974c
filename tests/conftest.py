"""One Hypothesis profile for every test: the same examples on every machine, however slow."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "jointprob", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("jointprob")
