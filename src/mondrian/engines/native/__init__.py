"""Engines that run in a child process."""
