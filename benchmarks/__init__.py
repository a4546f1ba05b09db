"""How fast the project is, against its targets and side by side with something plain; run by `make bench`."""
