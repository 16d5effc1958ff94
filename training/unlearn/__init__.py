"""Unlearning: harm is learned on purpose, then subtracted (SKU), beside the usual baselines in one harness."""
