"""What they hold: an unverified string in, a ``VerifiedToken`` out, or a ``Refusal`` that says why."""
