"""The doctor: looks at an IdP and at given tokens with the service's own eyes, and proposes an issuer's file.

It fetches through the service's door, loads what it proposes with the service's loader, and asks the
service's validator about every token. It never says that a token is fine by an opinion of its own.
"""
