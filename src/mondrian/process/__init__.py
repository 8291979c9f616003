"""A child process at the end of a pipe: its parent's side and its own."""
