"""The doctor behind ``exchange issuer inspect``: what an issuer publishes, and what its tokens prove."""
