"""Engines: everything that can turn a prompt into tokens, behind one protocol."""
