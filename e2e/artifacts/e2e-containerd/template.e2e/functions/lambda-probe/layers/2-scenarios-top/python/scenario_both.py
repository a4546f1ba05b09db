"""Of both layers: this one lies above."""

NAME = "top"
