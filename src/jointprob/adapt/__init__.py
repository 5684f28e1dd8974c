"""Adapting: a fitted joint goes on learning."""
