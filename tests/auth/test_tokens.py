"""Attacks on tokens: each is a 401 in the common form, whatever is sent, and never a 500."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient

from booking_app.auth.tokens import key_id
from tests.conftest import Caller, bearer, make_app, open_tokens

# The stricter of the two about ids that can't be.
pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

KEY = "k" * 40  # of the tests' app


@pytest.fixture
def tokens(alice: Caller) -> dict[str, str]:
    return open_tokens(alice.id)


@pytest.fixture
def claims(tokens: dict[str, str]) -> dict[str, Any]:
    """Of an access token that is good."""
    found: dict[str, Any] = jwt.decode(tokens["access"], options={"verify_signature": False})
    return found


@pytest.fixture
def kid(tokens: dict[str, str]) -> dict[str, Any]:
    return {"kid": jwt.get_unverified_header(tokens["access"])["kid"]}


def refused(client: FlaskClient, token: str) -> str:
    """Send it as an access token, and in both ways as a refresh token; the code of the refusal."""
    header = {"Authorization": f"Bearer {token}"}
    codes = set()
    for answer in (
        client.get("/api/me/", headers=header),
        client.post("/api/token/refresh/", headers=header),
        client.post("/api/token/refresh/", json={"refresh": token}),
        client.post("/api/logout/", headers=header),
        client.post("/api/logout/", json={"refresh": token}),
    ):
        assert answer.status_code == 401
        challenge = answer.headers["WWW-Authenticate"]
        assert challenge.startswith('Bearer realm="api"')
        assert ('error="invalid_token"' in challenge) == (
            answer.json["code"] != "not_authenticated"
        )
        assert token not in answer.text
        codes.add(answer.json["code"])
    (code,) = codes
    return code


def segment(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def sign(content: str, key: str) -> str:
    """HS256 by hand, since the library has scruples."""
    digest = hmac.new(key.encode(), content.encode(), hashlib.sha256).digest()
    return f"{content}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def test_no_algorithm(client: FlaskClient, claims: dict[str, Any], kid: dict[str, Any]) -> None:
    for name in ("none", "None", "NONE", "nOnE", ""):
        for signature in ("", "x"):
            head = segment({"alg": name, "typ": "JWT", **kid})
            assert refused(client, f"{head}.{segment(claims)}.{signature}") == "invalid_token"


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_with_the_right_key(
    client: FlaskClient, claims: dict[str, Any], kid: dict[str, Any], algorithm: str
) -> None:
    key = KEY * 2
    assert refused(client, jwt.encode(claims, key, algorithm, headers=kid)) == "invalid_token"


@pytest.mark.parametrize("key", ["", "secret", "dev", "change-me", "k", "0" * 40, "None"])
def test_forged_with_an_empty_or_known_key(
    client: FlaskClient, claims: dict[str, Any], kid: dict[str, Any], key: str
) -> None:
    signed = jwt.encode(claims, KEY, "HS256", headers=kid)
    head, body, _ = signed.split(".")
    assert refused(client, sign(f"{head}.{body}", key)) == "invalid_token"


def test_a_key_name_chooses_among_our_keys_only(
    client: FlaskClient, claims: dict[str, Any]
) -> None:
    for name in ("", "../../dev/null", key_id(""), None, 5, ["x"], "\x00"):
        head = {} if name is None else {"kid": name}
        body = f"{segment({'alg': 'HS256', **head})}.{segment(claims)}"
        assert refused(client, sign(body, "")) == "invalid_token"


def test_changed_cut_and_mixed(client: FlaskClient, tokens: dict[str, str], bob: Caller) -> None:
    head, body, signature = tokens["access"].split(".")
    other = open_tokens(bob.id)["access"].split(".")
    claims = jwt.decode(tokens["access"], options={"verify_signature": False})
    for token in (
        f"{head}.{segment(claims | {'sub': str(bob.id)})}.{signature}",  # another's id
        f"{head}.{other[1]}.{signature}",
        f"{head}.{body}.{other[2]}",
        f"{head}.{body}.",
        f"{head}.{body}",
        f".{body}.{signature}",
        f"{head}..{signature}",
        tokens["access"][:-2],
        tokens["access"][1:],
        "..",
        "x" * 4000,
    ):
        assert refused(client, token) == "invalid_token", token


def test_expired_and_not_yet_valid(
    client: FlaskClient, claims: dict[str, Any], kid: dict[str, Any]
) -> None:
    now = int(time.time())
    for change, code in [
        ({"exp": now - 11}, "token_expired"),
        ({"nbf": now + 60}, "invalid_token"),
        ({"iat": now + 60}, "invalid_token"),
    ]:
        for kind in ("access", "refresh"):
            token = jwt.encode(claims | change | {"type": kind}, KEY, "HS256", headers=kid)
            place = "/api/me/" if kind == "access" else "/api/token/refresh/"
            method = client.get if kind == "access" else client.post
            answer = method(place, headers={"Authorization": f"Bearer {token}"})
            assert (answer.status_code, answer.json["code"]) == (401, code), change


def test_refresh_used_as_access_and_the_reverse(
    client: FlaskClient, tokens: dict[str, str]
) -> None:
    wrong = [
        client.get("/api/me/", headers={"Authorization": f"Bearer {tokens['refresh']}"}),
        client.post("/api/logout/", headers={"Authorization": f"Bearer {tokens['refresh']}"}),
        client.post("/api/token/refresh/", headers=bearer(tokens)),
        client.post("/api/token/refresh/", json={"refresh": tokens["access"]}),
        client.post("/api/logout/", json={"refresh": tokens["access"]}),
    ]
    assert {(a.status_code, a.json["code"]) for a in wrong} == {(401, "invalid_token")}
    assert client.get("/api/me/", headers=bearer(tokens)).status_code == 200


def test_odd_claims_under_our_own_key(
    client: FlaskClient, claims: dict[str, Any], kid: dict[str, Any]
) -> None:
    """Whoever has the key could be anyone; but no claim ends in a 500. Tokens from before there
    were sessions have no `sid`."""
    for change in (
        {"sid": None},
        {"sid": "1"},
        {"sid": True},
        {"sid": 1.0},
        {"sid": 2**70},
        {"sid": -1},
        {"sub": "x"},
        {"sub": ""},
        {"sub": "-1"},
        {"sub": "9" * 40},
        {"type": "other"},
        {"type": None},
    ):
        for kind in ("access", "refresh"):
            token = jwt.encode(claims | {"type": kind} | change, KEY, "HS256", headers=kid)
            for answer in (
                client.get("/api/me/", headers={"Authorization": f"Bearer {token}"}),
                client.post("/api/token/refresh/", json={"refresh": token}),
            ):
                assert (answer.status_code, answer.json["code"]) == (401, "invalid_token"), change
    without = {name: value for name, value in claims.items() if name != "sid"}
    old = jwt.encode(without, KEY, "HS256", headers=kid)
    assert refused(client, old) == "invalid_token"


def test_a_session_id_of_another_account(
    client: FlaskClient, claims: dict[str, Any], kid: dict[str, Any], bob: Caller
) -> None:
    token = jwt.encode(claims | {"sub": str(bob.id)}, KEY, "HS256", headers=kid)
    answer = client.get("/api/me/", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json["code"]) == (401, "invalid_token")


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "Bearer{token}",
        "Bearer: {token}",
        "Bearer {token} x",
        "Bearer {token},Bearer {token}",
        '"Bearer {token}"',
        "Bearer '{token}'",
        "Token {token}",
        "Basic YTpi",
        "Digest username=x",
        "{token}",
        "Bearer \xff.\xff.\xff",
        "Bearer null",
        "Bearer undefined",
        "Bearer ....",
        ",",
        ", ,",
        "Bearer, ,",
        "x,,y",
        "Bearer x, ,Bearer y",
        "Bearer " + "a." * 2000,
    ],
)
def test_every_malformed_header(client: FlaskClient, tokens: dict[str, str], header: str) -> None:
    value = header.format(token=tokens["access"])
    for path, call in (("/api/me/", client.get), ("/api/token/refresh/", client.post)):
        answer = call(path, headers={"Authorization": value})
        assert answer.status_code == 401, answer.text
        assert answer.json["code"] in ("not_authenticated", "invalid_token")
        assert "WWW-Authenticate" in answer.headers


def test_more_than_one_space_is_no_fault(client: FlaskClient, tokens: dict[str, str]) -> None:
    """RFC 9110, section 11.4: one or more."""
    header = {"Authorization": f"Bearer   {tokens['access']}"}
    assert client.get("/api/me/", headers=header).status_code == 200


def test_a_token_without_an_end_is_good_or_not_but_no_defect(
    client: FlaskClient, claims: dict[str, Any], kid: dict[str, Any]
) -> None:
    del claims["exp"]
    token = jwt.encode(claims, KEY, "HS256", headers=kid)
    for _ in range(2):
        answer = client.get("/api/me/", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200


def test_nothing_between_two_commas_is_no_fault(
    client: FlaskClient, tokens: dict[str, str]
) -> None:
    """RFC 9110, section 5.6.1."""
    header = {"Authorization": f", Bearer {tokens['access']},  ,"}
    assert client.get("/api/me/", headers=header).status_code == 200


def test_two_headers(client: FlaskClient, tokens: dict[str, str], bob: Caller) -> None:
    both = [("Authorization", f"Bearer {tokens['access']}"), ("Authorization", "Bearer x")]
    assert client.get("/api/me/", headers=both).status_code == 401


def test_a_token_elsewhere_is_no_token(client: FlaskClient, tokens: dict[str, str]) -> None:
    client.set_cookie("access_token_cookie", tokens["access"])
    assert client.get("/api/me/").status_code == 401
    client.delete_cookie("access_token_cookie")
    answer = client.get(f"/api/me/?jwt={tokens['access']}", headers=bearer(tokens))
    assert answer.status_code == 422
    assert tokens["access"] not in answer.text


# --- keys -----------------------------------------------------------------------------------


def test_a_new_key_logs_nobody_out(alice: Caller, app: Flask, database_url: str) -> None:
    tokens = open_tokens(alice.id)
    during = make_app(database_url, SECRET_KEY="n" * 40, SECRET_KEY_PREVIOUS=KEY).test_client()
    after = make_app(database_url, SECRET_KEY="n" * 40).test_client()
    assert during.get("/api/me/", headers=bearer(tokens)).status_code == 200
    assert after.get("/api/me/", headers=bearer(tokens)).status_code == 401
    # What is made from now on is signed with the new key, and outlives the old one.
    renewed = during.post("/api/token/refresh/", json={"refresh": tokens["refresh"]}).json
    for client in (during, after):
        assert client.get("/api/me/", headers=bearer(renewed)).status_code == 200
    before = app.test_client().get("/api/me/", headers=bearer(renewed))
    assert before.status_code == 401


def test_the_key_before_is_no_key_for_tokens_that_do_not_name_it(
    alice: Caller, database_url: str, claims: dict[str, Any]
) -> None:
    client = make_app(database_url, SECRET_KEY="n" * 40, SECRET_KEY_PREVIOUS=KEY).test_client()
    for head in ({}, {"kid": key_id("n" * 40)}):
        token = jwt.encode(claims, KEY, "HS256", headers=head)
        answer = client.get("/api/me/", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json["code"]) == (401, "invalid_token")
