"""Measure models on labelled rows."""
