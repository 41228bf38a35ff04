"""Asking an issuer about a token that only it can read (RFC 7662)."""
