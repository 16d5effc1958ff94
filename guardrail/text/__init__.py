"""Make text fit to be judged: undo disguises, find sentences, plan the pieces that cover every character."""
