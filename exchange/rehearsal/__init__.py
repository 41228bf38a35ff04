"""Decisions without a server: the very code that serves requests, asked by ``explain``, ``test`` and ``diff``."""
