"""The explorer and the network: who may ask, how much, what an answer may give away."""

# ruff: noqa: F811, E501, D102  fixtures are imported; tables of odd values are read by the line
import os
import socket

import pytest

from quantascope.explorer.safety import COOKIE
from tests.explorer_runs import HOST, addresses, ask, hostile_runs, own_runs  # noqa: F401

FORM = {"op": "note", "text": "seen"}


def cluster_of(client) -> str:
    return client.get("/r/made/quanta.json").json()["rows"][0]["cluster"]


def has_policy(answer) -> bool:
    policy = answer.headers.get("content-security-policy", "")
    return (
        policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        and "unsafe" not in policy
        and answer.headers.get("x-content-type-options") == "nosniff"
        and answer.headers.get("referrer-policy") == "no-referrer"
    )


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8765", "127.0.0.1", "127.0.0.1:8766", "", "[", "127.0.0.1:8765,x",
     "127.0.0.1:8765@evil", "localhost.evil:8765", "[::1"],
)  # fmt: skip
def test_a_name_that_is_not_ours_is_refused(hostile_runs, host):
    answer = ask(hostile_runs).get("/r/made", headers={"host": host})
    assert answer.status_code == 421
    assert has_policy(answer)


def test_our_own_names_are_served(hostile_runs):
    for host in ("127.0.0.1:8765", "localhost:8765", "LOCALHOST:8765", "[::1]:8765"):
        assert ask(hostile_runs).get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "", "http://127.0.0.1:8766", "https://127.0.0.1:8765", "http://[",
     f"{HOST}.evil.example", f"{HOST}@evil.example", f"{HOST}/", "file://127.0.0.1:8765"],
)  # fmt: skip
def test_changes_come_from_our_own_pages_alone(own_runs, origin):
    client = ask(own_runs)
    form = FORM | {"clusters": cluster_of(client)}
    answer = client.post("/r/made/annotations", data=form, headers={"origin": origin})
    assert answer.status_code == 403
    assert not (own_runs / "made" / "annotations.jsonl").exists()
    assert client.post("/r/made/annotations", data=form).status_code == 303
    assert (own_runs / "made" / "annotations.jsonl").exists()


def test_only_get_and_post_and_post_only_to_annotate(hostile_runs):
    client = ask(hostile_runs)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"):
        answer = client.request(method, "/r/made/annotations", headers={"content-length": "0"})
        assert answer.status_code == 405, method
        assert has_policy(answer)
    for path in ("/", "/r/made", "/r/made/quanta", "/static/explorer.js"):
        assert client.post(path, data={"a": "1"}).status_code == 405


def test_bodies_and_addresses_are_bounded(hostile_runs):
    client = ask(hostile_runs)
    path = "/r/made/annotations"
    assert client.post(path, content=b"a" * 65_537).status_code == 413
    assert client.post(path, content=iter([b"op=note"])).status_code == 413  # says no length
    for length in ("", "-1", "1e3", "9" * 5_000, b"\xb2"):
        answer = client.post(path, content=b"a", headers={"content-length": length})
        assert answer.status_code == 413
    assert client.post(path, content="&".join(["a=1"] * 500).encode()).status_code == 400
    assert client.get("/?q=" + "x" * 8_192).status_code == 414
    assert client.get("/" + "x" * 8_192).status_code == 414
    many = "&".join(f"{i:x}=" for i in range(10_000))
    assert client.get(f"/r/made/quanta?{many}").status_code == 414
    assert client.get("/r/made/quanta?" + "a&" * 3_000).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/r/../made", "/r/..", "/r/%2e%2e", "/r/%2e%2e%2fmade", "/r/made%00", "/r/%00", "/r/made/../../x",
     "/r/.", "/r/made%2f", "/r/%5c..", "/r/made/quanta/..%2f..%2frun.toml", "/r/made/quanta/%00",
     "/r/made/tokens/-1", "/r/made/tokens/1e9", "/r/made/tokens/%C2%B2", "/r/made/tokens/" + "9" * 4_000,
     "/r/made/quanta/" + "9" * 4_000, "/r/made/quanta/0", "/static/../app.py", "/static/%2e%2e/app.py",
     "/static/..%2fapp.py", "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/%00", "/static/",
     "/static", "/made/run.toml", "/r/made/run.toml", "/r/made/annotations.jsonl"],
)  # fmt: skip
def test_no_address_leads_out_of_the_runs(hostile_runs, path):
    answer = ask(hostile_runs).get(path, follow_redirects=True)
    assert answer.status_code in (200, 404)
    assert has_policy(answer)
    if answer.status_code == 200:  # clients take dots out themselves
        assert answer.url.path in ("/", "/made", "/r/made")
    for inner in ("root:", "Traceback", "[corpus]", "make_app"):
        assert inner not in answer.text


NUMBERS = ("-1", "9" * 4_000, "1e400", "nan", "1_0", "\u0661\u0662", "\x00", "1" + "0" * 18)


def test_odd_numbers_in_addresses_get_a_page_or_a_clear_refusal(hostile_runs):
    client = ask(hostile_runs)
    cluster = cluster_of(client)
    for number in NUMBERS:
        for path, names in (
            ("/r/made/quanta", ("page", "min", "from", "to", "desc", "sort", "q")),
            (f"/r/made/quanta/{cluster}", ("n", "ctx", "order", "at", "align")),
            ("/r/made/tokens/5", ("ctx", "at")),
            ("/r/made/search", ("page", "mode", "q")),
        ):
            for name in names:
                query = {name: number, "q": number if name == "q" else "e"}
                answer = client.get(path, params=query)
                assert answer.status_code in (200, 400, 404), (path, name, number)


def test_every_answer_has_the_policy_and_none_a_place_of_this_machine(hostile_runs):
    client = ask(hostile_runs)
    asked = [*addresses(), "/static/explorer.js", "/static/explorer.css", "/nothing", "/r/nothing",
             "/r/made/", "/r/made/quanta?sort=wrong", "/r/made/search?mode=regex&q=("]  # fmt: skip
    twins = ["/runs.json", "/r/made/overview.json", "/r/made/about.json", "/r/made/quanta.csv",
             "/r/made/quanta.parquet", "/r/made/quanta.json", "/r/nothing/quanta.json"]  # fmt: skip
    for path in (*asked, *twins):
        answer = client.get(path)
        assert has_policy(answer), path
        for secret in (
            str(hostile_runs),
            str(hostile_runs.resolve()),
            socket.gethostname() + '"',
            "Traceback",
        ):
            assert secret.encode() not in answer.content, path


def test_a_redirect_stays_here_and_holds_no_token(hostile_runs):
    client = ask(hostile_runs, token="s3cret")
    for path in (
        "/r/made?token=s3cret&n=1",
        "//evil.example?token=s3cret",
        "/%0d%0ax?token=s3cret",
    ):
        client.cookies.clear()
        answer = client.get(HOST + path)
        assert answer.status_code == 303
        target = answer.headers["location"]
        assert target.startswith("/")
        assert not target.startswith("//")
        assert "s3cret" not in target
        assert has_policy(answer)


def test_back_leads_to_this_run_only(own_runs):
    client = ask(own_runs)
    form = FORM | {"clusters": cluster_of(client)}
    for back in (
        "//evil.example",
        "http://evil.example",
        "/r/other/x",
        "javascript:alert(1)",
        "/r/made/\r\nx: y",
    ):
        answer = client.post("/r/made/annotations", data=form | {"back": back})
        assert answer.headers["location"].startswith("/r/made/")
        assert "x" not in answer.headers


def test_beyond_this_machine_the_token_is_wanted(hostile_runs):
    client = ask(hostile_runs, host="0.0.0.0", token="s3cret")
    for path in (
        "/",
        "/r/made",
        "/static/explorer.js",
        "/nothing",
        "/?token=",
        "/?token=s3cre",
        "/?token=é",
    ):
        assert client.get(path).status_code == 401, path
    for cookie in ("", "s3cretx", "S3CRET", "\u00e9"):
        header = f"{COOKIE}={cookie}".encode("latin-1")
        assert client.get("/", headers={"cookie": header}).status_code == 401
    assert client.post("/r/made/annotations?token=s3cret", data=FORM).status_code == 401
    answer = client.get("/?token=s3cret")
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert "samesite=strict" in answer.headers["set-cookie"].lower()
    assert client.get("/").status_code == 200  # by the cookie
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421


def test_the_token_is_compared_in_constant_time(hostile_runs, monkeypatch):
    import hmac

    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or False)
    ask(hostile_runs, token="s3cret").get("/?token=s3cret", headers={"cookie": f"{COOKIE}=abc"})
    assert (b"abc", b"s3cret") in compared
    assert (b"s3cret", b"s3cret") in compared


def test_links_out_of_the_folder_are_not_followed(own_runs, tmp_path):
    (tmp_path / "secret").write_text("root: s3cret")
    (own_runs / "elsewhere").symlink_to(_other_run(own_runs, tmp_path))
    client = ask(own_runs)
    assert client.get("/r/elsewhere/about").status_code == 500
    problems = {row["run"]: row["problem"] for row in client.get("/runs.json").json()["runs"]}
    assert "link out of this folder" in problems["elsewhere"]
    assert problems["made"] == ""
    for name in ("run.toml", "annotations.jsonl"):
        path = own_runs / "made" / name
        kept = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)
        path.symlink_to(tmp_path / "secret")
        answer = client.get("/r/made/about")
        assert answer.status_code == 500
        assert name in answer.text
        assert "s3cret" not in answer.text
        assert str(tmp_path) not in answer.text
        path.unlink()
        if kept is not None:
            path.write_bytes(kept)
    assert client.get("/r/made/about").status_code == 200


def _other_run(own_runs, tmp_path):
    import shutil

    return shutil.copytree(own_runs / "made", tmp_path / "other")


def damages(path):
    """Ways to spoil a file: emptied, cut, flipped in its middle, removed."""
    whole = path.read_bytes()
    at = len(whole) // 2
    flipped = whole[:at] + bytes(255 - byte for byte in whole[at : at + 64]) + whole[at + 64 :]
    return b"", whole[:at], flipped, None


def files_of(run):
    kinds = (".json", ".parquet", ".npy", ".toml")
    found = [path for path in sorted(run.rglob("*")) if path.suffix in kinds and path.is_file()]
    assert len(found) > 25
    return found


def look(root, path, damage):
    """Damage a file, look at every kind of page, mend it."""
    whole = path.read_bytes()
    path.unlink() if damage is None else path.write_bytes(damage)
    client = ask(root)
    for address in ("/", "/r/made", "/r/made/quanta/1", "/r/made/tokens/9"):
        answer = client.get(address)
        assert answer.status_code in (200, 404, 500), (path, address)
        assert has_policy(answer)
        assert "<main" in answer.text
        assert "Traceback" not in answer.text
        assert str(root) not in answer.text, (path, address)
    path.write_bytes(whole)


def test_a_damaged_run_gives_a_clear_page(own_runs):
    """Every third file, spoilt in one of four ways; the slow twin takes all in all ways."""
    for i, path in enumerate(files_of(own_runs / "made")[::3]):
        look(own_runs, path, damages(path)[i % 4])
    client = ask(own_runs)
    assert all(client.get(path).status_code == 200 for path in ("/r/made", "/r/made/quanta"))


@pytest.mark.slow
def test_a_run_damaged_in_every_way_gives_a_clear_page(own_runs):
    for path in files_of(own_runs / "made"):
        for damage in damages(path):
            look(own_runs, path, damage)


def test_a_run_that_cannot_be_written_says_so_without_its_path(own_runs):
    client = ask(own_runs)
    form = FORM | {"clusters": cluster_of(client)}
    (own_runs / "made" / "annotations.jsonl").mkdir()
    answer = client.post("/r/made/annotations", data=form)
    assert answer.status_code == 500
    assert str(own_runs) not in answer.text


def test_names_of_folders_that_hide_something_are_not_listed(own_runs):
    for name in (b"a\xffb", "\u202eabc".encode(), b"a\nb"):
        (own_runs / "made").rename(own_runs / os.fsdecode(name))
        assert ask(own_runs).get("/runs.json").json()["runs"] == []
        (own_runs / os.fsdecode(name)).rename(own_runs / "made")
    (own_runs / "made").rename(own_runs / "<b>&amp; '")
    client = ask(own_runs)
    assert "<b>" not in client.get("/").text
    assert client.get("/r/%3Cb%3E%26amp%3B%20'/about").status_code == 200
