"""Who may look at the page."""

import pytest

from adapter.console.access import Access, Entry, without_token

TOKEN = "t" * 43
ACCESS = Access(TOKEN, ["console.example.com"])
COOKIE = ACCESS.set_cookie().partition(";")[0]


def admit(
    host: str = "127.0.0.1:8950", *, token: str = "", cookie: str = "", method: str = "GET", path: str = "/"
) -> Entry:
    headers = {"Host": host} | ({"Cookie": cookie} if cookie else {})
    return ACCESS.admit(method, path, {"token": token} if token else {}, headers)


def test_the_token_gives_a_cookie_and_the_cookie_lets_in() -> None:
    assert admit(token=TOKEN) is Entry.ENTER
    assert admit(cookie=COOKIE) is Entry.COME_IN
    assert admit(cookie=f"a=b; {COOKIE} ; c=d") is Entry.COME_IN


@pytest.mark.parametrize("token", ["", "t", TOKEN + "t", TOKEN.upper(), "é" * 43, "\ud800"])
def test_another_token_does_not(token: str) -> None:
    assert admit(token=token) is Entry.NO_TOKEN


@pytest.mark.parametrize(
    "cookie",
    [COOKIE[:-1], COOKIE + "0", f"{ACCESS.cookie}=", f"{ACCESS.cookie}={TOKEN}", f"other={COOKIE.partition('=')[2]}",
     ";=;", "x" * 20_000 + ";" + COOKIE],
)  # fmt: skip
def test_another_cookie_does_not_nor_one_beyond_the_bound(cookie: str) -> None:
    assert admit(cookie=cookie) is Entry.NO_TOKEN


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:1", "localhost:8950", "LOCALHOST", "[::1]:8950", "[::1]", "console.example.com"]
)
def test_it_is_asked_by_names_that_are_its_own(host: str) -> None:
    assert admit(host, cookie=COOKIE) is Entry.COME_IN


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:8950", "127.0.0.1.evil.example", "localhost.evil.example:80", "127.0.0.1@evil",
     "evil.example#127.0.0.1", "10.0.0.1:8950"],
)  # fmt: skip
def test_a_name_that_was_bound_to_it_by_another_gets_nothing_even_with_token_or_cookie(host: str) -> None:
    """DNS rebinding: the browser believes that it speaks to its own site."""
    assert admit(host, token=TOKEN) is Entry.WRONG_HOST
    assert admit(host, cookie=COOKIE) is Entry.WRONG_HOST


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "get"])
def test_nothing_but_get(method: str) -> None:
    assert admit(token=TOKEN, method=method) is Entry.WRONG_METHOD


def test_a_kubelet_may_ask_whether_it_lives_by_any_name_and_nothing_else() -> None:
    assert admit("10.1.2.3:8950", path="/healthz") is Entry.HEALTH
    assert admit("10.1.2.3:8950", path="/healthz/") is Entry.WRONG_HOST


def test_the_cookie_tells_nothing_of_the_token_and_no_script_reads_it() -> None:
    assert TOKEN not in ACCESS.set_cookie()
    assert "; HttpOnly; SameSite=Strict" in ACCESS.set_cookie()


def test_two_consoles_of_one_machine_have_cookies_of_their_own() -> None:
    other = Access("u" * 43)
    assert other.cookie != ACCESS.cookie
    assert other.admit("GET", "/", {}, {"Host": "localhost", "Cookie": COOKIE}) is Entry.NO_TOKEN


@pytest.mark.parametrize(
    ("path", "query", "wanted"),
    [
        ("/", {"token": TOKEN}, "/"),
        ("/releases", {"token": TOKEN, "ns": "a&b"}, "/releases?ns=a%26b"),
        ("//evil.example", {"token": TOKEN}, "/"),
        ("/\\evil.example", {"token": TOKEN}, "/%5Cevil.example"),
        ("/\t/evil.example", {"token": TOKEN}, "/%09/evil.example"),
        ("/a\r\nSet-Cookie: x=y", {}, "/a%0D%0ASet-Cookie%3A%20x%3Dy"),
        ("evil", {}, "/"),
    ],
)
def test_the_token_leaves_the_url_and_nobody_is_sent_elsewhere(path: str, query: dict[str, str], wanted: str) -> None:
    assert without_token(path, query) == wanted
