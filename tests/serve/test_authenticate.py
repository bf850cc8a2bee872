"""Who a caller is, decided from what each way to tell says; tests/serve/test_access.py does it over real TLS."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from adapter.serve.authenticate import ANONYMOUS, Authentication, BearerTokens, Caller, User
from adapter.serve.status import StatusError, unauthorized

NOTHING_SHOWN = Caller(CIMultiDictProxy(CIMultiDict()), None)


class Says:
    """A way to tell who somebody is, with its answer."""

    def __init__(self, answer: User | StatusError | None) -> None:
        self.answer = answer

    async def authenticate(self, caller: Caller) -> User | None:
        if isinstance(self.answer, StatusError):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("said", "groups"),
    [
        (User("ann"), ("system:authenticated",)),
        (User("ann", ("dev",)), ("dev", "system:authenticated")),
        (User("ann", ("system:authenticated", "dev")), ("system:authenticated", "dev")),
        (User("system:anonymous"), ()),
        (User("system:anonymous", ("dev",)), ("dev",)),
        (User("ghost", ("system:unauthenticated",)), ("system:unauthenticated",)),
    ],
)
async def test_the_group_of_the_known_is_added_and_never_for_the_anonymous(said: User, groups: tuple[str, ...]) -> None:
    """A front proxy may name system:anonymous: what everybody known may do is not for him."""
    assert (await Authentication([Says(said)]).authenticate(NOTHING_SHOWN)).groups == groups


async def test_the_first_way_that_knows_the_caller_wins_and_a_refusal_counts_where_none_does() -> None:
    ann, bob, refuses = Says(User("ann")), Says(User("bob")), Says(unauthorized())
    for ways, name in (([Says(None), ann, bob], "ann"), ([refuses, bob], "bob"), ([bob, refuses], "bob")):
        assert (await Authentication(ways).authenticate(NOTHING_SHOWN)).name == name
    with pytest.raises(StatusError) as raised:
        await Authentication([refuses, Says(None)]).authenticate(NOTHING_SHOWN)
    assert raised.value.code == 401


async def test_who_shows_nothing_is_anonymous_only_where_that_is_allowed() -> None:
    assert await Authentication([Says(None)]).authenticate(NOTHING_SHOWN) == ANONYMOUS
    with pytest.raises(StatusError) as raised:
        await Authentication([Says(None)], anonymous=False).authenticate(NOTHING_SHOWN)
    assert raised.value.code == 401


async def test_a_verdict_on_a_token_holds_for_10_s() -> None:
    now, asked = 0.0, []

    async def review(token: str) -> User | None:
        asked.append(token)
        return User("ann") if token == "good" else None

    tokens = BearerTokens(review, clock=lambda: now)
    shown = Caller(CIMultiDictProxy(CIMultiDict({"Authorization": "Bearer good"})), None)
    for at, count in ((0.0, 1), (9.9, 1), (10.0, 2)):
        now = at
        assert await tokens.authenticate(shown) == User("ann")
        assert len(asked) == count
