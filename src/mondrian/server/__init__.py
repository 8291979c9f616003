"""The startup and shutdown of ``mondrian serve`` and ``mondrian worker``.

``serve.py`` checks the settings and starts everything; ``socket.py`` binds the sockets,
``database.py`` opens the database, ``processes.py`` runs the server and the worker, ``signals.py``
handles signals, and ``protocol.py`` bounds clients in bytes and time.

Nothing is imported here: the command line needs the format of log lines without the server.
"""
