"""Find, verify and list model bundles."""
