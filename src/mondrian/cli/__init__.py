"""The command line: ``main`` runs it, ``app`` is what its commands are added to."""
