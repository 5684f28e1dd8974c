"""Adapting: models that live with changing patterns and with little data."""
