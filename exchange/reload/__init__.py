"""A change of ``policies/`` while the service runs: the master reads and judges, the workers follow.

::

    policies/ ──▶ watch (gunicorn's master) ──▶ publication (a private directory) ──▶ follow (each worker)
                  settled? faults?               status.json, a copy of the files      load, swap in one step

One process decides what is in force, so the workers cannot disagree; what it hands out are the very bytes
that it judged, so nothing is ever half; and it keeps the last good policies in memory, so a worker that is
started anew has them whatever the directory holds by then (docs/adr/0009).
"""
