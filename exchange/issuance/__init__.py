"""The new token: claims from empty, signed with a key that only its owner can read."""
