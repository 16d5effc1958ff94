"""Make or check tracked files of the package, one command a file."""
