"""OAuth 2.0 Token Exchange (RFC 8693): a trusted issuer's access token in, a downstream access token out.

The rooms, in the order of trust; a request passes them from left to right and imports never go back::

    HTTP     ┌ parse ┐  ┌ authenticate ┐  ┌ validate ──────────┐  ┌ decide ┐  ┌ mint ───┐  ┌ respond ┐
    ───────▶ │ web/  │─▶│ clients/     │─▶│ tokens/ (on trust/) │─▶│ policy/│─▶│issuance/│─▶│ web/    │──▶
             └───────┘  └──────────────┘  └─────────────────────┘  └────────┘  └─────────┘  └─────────┘

What crosses each border is a frozen value of ``model``. ``audit`` opens one attempt at the left edge and
writes it at the right edge, whatever happens in between. ``config`` turns ``policies/`` into frozen values;
``trust`` finds the keys of an issuer that it names; ``stores`` remembers what must not happen twice.
"""
