"""Read, check and mix the rows that models are trained on."""
