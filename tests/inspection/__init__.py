"""``exchange issuer inspect``: what it finds, what it proposes, and what it never proposes."""
