"""Decisions without a server: ``explain``, ``test`` and ``diff`` ask the very code that serves requests.

A rehearsal leaves nothing behind: no audit record, no mark in the store, no key on disk, and the token that
it makes is signed with a key that exists nowhere else and is thrown away.
"""
