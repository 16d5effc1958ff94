"""Rewrite flagged sentences: prompt, decoder, verification and the refine loop."""
