"""The command line: ``jointprob fit|score|predict|sample|impute|explain|query|drift|info``."""

from jointprob.cli.app import app

__all__ = ["app"]
