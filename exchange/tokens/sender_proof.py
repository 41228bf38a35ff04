"""What a request proves to hold: the key of its DPoP proof, the certificate that it came over."""

from __future__ import annotations

from exchange.model import NO_PROOF, PresentedProof, Secret, SenderProof
from exchange.tokens.dpop import DpopProofs


class SenderProofs:
    """Turns what a request brings into what it has proved."""

    def __init__(self, dpop: DpopProofs) -> None:
        self._dpop = dpop

    def __call__(self, presented: PresentedProof, subject_token: Secret) -> SenderProof:
        """Return what is proved; nothing is, and nothing is done, where nothing was brought.

        A certificate was believed at the edge already. Raises the ``Refusal`` of ``DpopProofs.verify``.
        """
        dpop, certificate = presented.unverified_dpop, presented.certificate
        if dpop is None and certificate is None:
            return NO_PROOF
        return SenderProof(
            jkt=self._dpop.verify(dpop, subject_token) if dpop is not None else None,
            x5t_s256=certificate.x5t_s256 if certificate is not None else None,
        )
