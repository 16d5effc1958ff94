"""Adapt the guard to other frameworks: one module each, none imports another."""
