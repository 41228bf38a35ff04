"""``single_use``: what tells a token from all others, and how an exchange marks it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exchange.errors import Refusal
from exchange.model import PresentedToken, Role, VerifiedToken
from exchange.stores import GRACE, StoreUnavailable
from exchange.stores.sqlite import SqliteStore
from exchange.tokens.single_use import SingleUse, single_use_id
from tests.support.tokens import NOW, genuine_claims, signed_as_it_is, token_validator, trusted_issuer

SKEW = 30
ONCE = trusted_issuer(single_use=True)


def verified(role: Role = Role.SUBJECT, **changes: Any) -> VerifiedToken:
    signed = signed_as_it_is({"typ": "at+jwt"}, genuine_claims(**changes))
    return token_validator(ONCE)(PresentedToken(signed, role))


def reason(refused: pytest.ExceptionInfo[Refusal]) -> str:
    return refused.value.reason.slug


@pytest.fixture
def clock():
    return [float(NOW)]


@pytest.fixture
def store(tmp_path, clock):
    store = SqliteStore(tmp_path / "exchange.db", clock=lambda: clock[0])
    yield store
    store.close()


class TestWhatIsMarked:
    def test_a_jwt_is_its_jti(self):
        assert verified(jti="one").single_use_id == "jti:one"

    def test_a_token_of_another_issuer_is_not_marked(self):
        assert (
            single_use_id(trusted_issuer(), Role.SUBJECT, token_id=None, sha256="x", is_opaque=False) is None
        )

    @pytest.mark.parametrize("role", Role)
    def test_a_jwt_without_one_is_refused(self, role):
        for spoilt in (..., None):
            with pytest.raises(Refusal) as refused:
                verified(role, jti=spoilt)
            assert reason(refused) == f"{role}_token_claim_missing"

    def test_an_opaque_token_is_its_jti_or_what_it_is(self):
        def of(token_id):
            return single_use_id(ONCE, Role.SUBJECT, token_id=token_id, sha256="abc", is_opaque=True)

        assert (of("one"), of(None)) == ("jti:one", "sha256:abc")
        assert of("abc") != of(None), "what an issuer calls a token is not what another one is"


class TestMarking:
    def test_a_token_passes_once(self, store):
        use_up = SingleUse(store, clock_skew=SKEW)
        use_up(verified(), None)
        with pytest.raises(Refusal) as refused:
            use_up(verified(), None)
        assert reason(refused) == "subject_token_used"
        use_up(verified(jti="another"), None)

    def test_the_mark_outlives_the_token_by_the_skew(self, store, clock):
        token = verified()
        SingleUse(store, clock_skew=SKEW)(token, None)
        clock[0] = token.expires_at + SKEW + GRACE
        with pytest.raises(Refusal):
            SingleUse(store, clock_skew=SKEW)(token, None)

    def test_the_actor_s_is_marked_first_and_the_subject_s_not_when_that_fails(self, store):
        use_up = SingleUse(store, clock_skew=SKEW)
        actor = verified(Role.ACTOR, jti="actor")
        use_up(verified(jti="first"), actor)
        with pytest.raises(Refusal) as refused:
            use_up(verified(jti="second"), actor)
        assert reason(refused) == "actor_token_used"
        use_up(verified(jti="second"), None)

    def test_where_the_subject_s_was_used_the_actor_s_is_lost_with_it(self, store):
        use_up = SingleUse(store, clock_skew=SKEW)
        use_up(verified(), None)
        for expected in ("subject_token_used", "actor_token_used"):
            with pytest.raises(Refusal) as refused:
                use_up(verified(), verified(Role.ACTOR, jti="actor"))
            assert reason(refused) == expected

    def test_one_token_in_both_roles_is_one_use(self, store):
        use_up = SingleUse(store, clock_skew=SKEW)
        use_up(verified(), verified(Role.ACTOR))
        with pytest.raises(Refusal) as refused:
            use_up(verified(), verified(Role.ACTOR))
        assert reason(refused) == "actor_token_used"

    def test_tokens_that_may_be_exchanged_again_ask_no_store(self):
        token = replace(verified(), single_use_id=None)
        SingleUse(_Gone(), clock_skew=SKEW)(token, token)

    def test_a_store_out_of_reach_refuses(self):
        with pytest.raises(Refusal) as refused:
            SingleUse(_Gone(), clock_skew=SKEW)(verified(), None)
        assert (reason(refused), refused.value.retry_after) == ("store_unavailable", 7)


class _Gone:
    """A store that is not there: what a real one says then is in tests/stores."""

    def add_if_absent(self, *_: object) -> bool:
        raise StoreUnavailable("unwritable", retry_after=7)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"nobody asks for {name}")
