"""A child process on a pipe: the parent's side and the child's side."""
