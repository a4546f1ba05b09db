"""One module for each command, which holds it as `command`; imported when it is called."""
