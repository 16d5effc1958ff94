"""Measure rewriters: what is still flagged, what was kept, how it reads, what people say of it."""
