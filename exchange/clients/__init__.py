"""Who is asking: client authentication (RFC 6749 §2.3)."""
