"""Produce the models: data, detector, rewriter, unlearning and their evaluation; needs the train extra."""
