"""Of both layers: this one lies below."""

NAME = "base"
