"""Storage that speaks S3, as it should and as it does at times: nothing lost, nothing half, nothing given away."""

import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from threading import Event
from uuid import uuid4

import pytest

from consentkit.errors import LedgerError, LedgerUnavailable
from consentkit.evidence.bucket import Bucket, File, open_bucket
from consentkit.evidence.publication import publish
from consentkit.evidence.s3 import S3
from tests.evidence.conftest import OpenLedger
from tests.evidence.test_publication import fill, read_log
from tests.object_store import CREDENTIALS, Answer, Cut, ObjectStore, Relay, relaying
from tests.support import ROOT

FIXED = [File(f"tile/0/{number:03}", b"hashes") for number in range(40)]


@pytest.fixture
def relay(object_store: ObjectStore) -> Iterator[tuple[Relay, str]]:
    """A server behind a relay, and the URL of a place there."""
    with relaying(object_store) as (relay, store):
        yield relay, store.url(f"b{uuid4().hex}")


@pytest.fixture
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything tried once."""
    monkeypatch.setattr("consentkit.evidence.s3._RETRY", {"max_retries": 0})


class TestSelfTest:
    def test_a_good_store_passes_and_nothing_is_left_there(self, relay: tuple[Relay, str]) -> None:
        """Its own file is gone afterwards."""
        bucket = open_bucket(relay[1])
        bucket.check()
        assert bucket.names() == set()

    @pytest.mark.parametrize(
        ("forgets", "hides", "named"),
        [
            ({"if-none-match", "if-match"}, set(), r"If-None-Match: \* on a file that is there"),
            ({"if-match"}, set(), "If-Match with the tag of a file that was replaced"),
            (set(), {"etag"}, "ETag"),
        ],
    )
    def test_a_store_that_forgets_conditions_is_refused(
        self, relay: tuple[Relay, str], forgets: set[str], hides: set[str], named: str
    ) -> None:
        """Two publishers could overwrite each other there; the error says what failed."""
        spoiler, url = relay
        spoiler.forgets, spoiler.hides = frozenset(forgets), frozenset(hides)
        bucket = open_bucket(url)
        with pytest.raises(LedgerError, match=named):
            bucket.check()
        spoiler.forgets = spoiler.hides = frozenset()
        assert bucket.names() == set()


class TestWriting:
    def test_what_was_broken_off_is_carried_on_and_sent_once(
        self, relay: tuple[Relay, str], open_ledger: OpenLedger, url: str, no_retries: None
    ) -> None:
        """Wherever it broke off, with several files under way; what arrived is not sent again."""
        spoiler, place = relay
        fill(open_ledger(), 1500)
        left = 7

        def cut(method: str, path: str) -> Answer | None:
            nonlocal left
            left -= method == "PUT" and "/selftest-" not in path
            if left < 0:
                raise Cut
            return None

        spoiler.rule = cut
        with pytest.raises(LedgerUnavailable):
            publish(url, open_bucket(place))
        arrived = set(spoiler.written()[:7])
        spoiler.rule = lambda method, path: None
        assert open_bucket(place).read("checkpoint") is None
        spoiler.requests.clear()
        publish(url, open_bucket(place))
        assert read_log(open_bucket(place)) == 1502
        again = spoiler.written()
        assert len(again) == len(set(again))
        assert arrived.isdisjoint(again)
        assert again[-1].endswith("/checkpoint")

    def test_nothing_is_sent_that_is_there(
        self, relay: tuple[Relay, str], open_ledger: OpenLedger, url: str
    ) -> None:
        """A second publisher, or the same one again, only looks."""
        spoiler, place = relay
        fill(open_ledger(), 300)
        publish(url, open_bucket(place))
        spoiler.requests.clear()
        publish(url, open_bucket(place))
        assert spoiler.written() == []

    def test_many_are_sent_without_asking(self, relay: tuple[Relay, str]) -> None:
        """Where nothing is, few questions are asked."""
        spoiler, place = relay
        open_bucket(place).write(FIXED)
        assert len(spoiler.written()) == 40
        assert sum(method == "GET" for method, _, _ in spoiler.requests) < 20

    def test_files_are_served_as_what_they_are(
        self, object_store: ObjectStore, open_ledger: OpenLedger, url: str
    ) -> None:
        """Tiles may be kept for ever, the head must be asked for each time; neither is a page (tlog-tiles)."""
        place = object_store.url(f"b{uuid4().hex}")
        open_ledger()
        publish(url, open_bucket(place))
        found = S3.of_url(place)._store
        served = {name: found.get(name).attributes for name in ("checkpoint", "tile/entries/000.p/2")}
        assert served["checkpoint"] == {
            "Content-Type": "text/plain; charset=utf-8",
            "Cache-Control": "no-cache",
        }
        assert served["tile/entries/000.p/2"] == {
            "Content-Type": "application/octet-stream",
            "Cache-Control": "public, max-age=31536000, immutable",
        }

    def test_a_file_that_is_there_and_not_there_is_no_fork(self, relay: tuple[Relay, str]) -> None:
        """As when somebody writes it at the same moment, and fails: that is tried again, and told as what it is."""
        spoiler, place = relay
        spoiler.rule = lambda method, path: (412, {}, b"") if method == "PUT" else None
        with pytest.raises(LedgerUnavailable, match="has nothing to read"):
            open_bucket(place).write(FIXED[:1])

    def test_a_file_that_somebody_else_wrote_meanwhile_is_taken(self, relay: tuple[Relay, str]) -> None:
        """If it is the same; else it is a fork."""
        spoiler, place = relay
        other, file = open_bucket(place), FIXED[0]

        def first(method: str, path: str) -> Answer | None:
            if method == "PUT":
                spoiler.rule = lambda method, path: None
                other.write([file])
            return None

        spoiler.rule = first
        open_bucket(place).write(FIXED[:1])
        file, spoiler.rule = File(FIXED[1].name, b"others"), first
        with pytest.raises(LedgerError, match="holds another tile/0/001"):
            open_bucket(place).write(FIXED[1:2])


def test_everybody_reads_the_log_under_the_documented_policy(
    object_store: ObjectStore, open_ledger: OpenLedger, url: str
) -> None:
    """Its files, without an account, and neither a list of them nor another log beside it."""
    name = f"b{uuid4().hex}"
    place = object_store.url(name, "consent")
    open_ledger()
    publish(url, open_bucket(place))
    publish(url, open_bucket(place.replace("/consent?", "/other?")))
    found = re.search(
        r"```json bucket-policy.json\n(.+?)```", (ROOT / "docs/publication.md").read_text(), re.DOTALL
    )
    assert found
    assert anonymous(f"{object_store.endpoint}/{name}/consent/checkpoint") == 403
    policy = found[1].replace("example-log", name).encode()
    assert anonymous(f"{object_store.endpoint}/{name}?policy", "PUT", policy) == 200
    assert anonymous(f"{object_store.endpoint}/{name}/consent/checkpoint") == 200
    assert anonymous(f"{object_store.endpoint}/{name}/consent/tile/entries/000.p/2") == 200
    assert anonymous(f"{object_store.endpoint}/{name}/other/checkpoint") == 403


def anonymous(url: str, method: str = "GET", body: bytes | None = None) -> int:
    """The status of an answer to somebody without credentials."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


class TestWhenItFails:
    def test_half_a_file_is_none(self, relay: tuple[Relay, str], no_retries: None) -> None:
        """An answer that ends before its length is an error."""
        spoiler, place = relay
        bucket = open_bucket(place)
        bucket.write(FIXED[:1])
        headers = {"ETag": '"x"', "Content-Length": "6", "Last-Modified": "Wed, 25 Nov 2026 08:00:00 GMT"}
        spoiler.rule = lambda method, path: (200, headers, b"has")
        with pytest.raises(LedgerUnavailable):
            bucket.read(FIXED[0].name)

    def test_a_store_that_never_answers_is_not_waited_for(
        self, relay: tuple[Relay, str], no_retries: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """There is a time-out for each request."""
        from datetime import timedelta

        monkeypatch.setattr("consentkit.evidence.s3._TIMEOUT", timedelta(milliseconds=200))
        spoiler, place = relay
        over = Event()

        def hang(*_: str) -> Answer:
            over.wait(30)
            raise Cut

        spoiler.rule = hang
        try:
            with pytest.raises(LedgerUnavailable, match="cannot be used"):
                open_bucket(place).read("checkpoint")
            assert not over.is_set()
        finally:
            over.set()

    def test_a_short_failure_is_not_noticed(self, relay: tuple[Relay, str]) -> None:
        """What the server says is its own fault is tried again."""
        spoiler, place = relay
        left = iter(range(2))
        spoiler.rule = lambda method, path: (503, {}, b"") if next(left, None) is not None else None
        open_bucket(place).write(FIXED[:1])
        assert open_bucket(place).read(FIXED[0].name) is not None

    @pytest.mark.parametrize("what", ["away", "denied"])
    def test_errors_give_no_secret_away(
        self, relay: tuple[Relay, str], no_retries: None, what: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whatever server and driver say; nor do they show where they came from."""
        spoiler, place = relay
        key = CREDENTIALS["AWS_ACCESS_KEY_ID"]
        body = f"<Error><AWSAccessKeyId>{key}</AWSAccessKeyId><Note>told-in-confidence</Note></Error>"
        spoiler.rule = lambda method, path: (403, {"Content-Type": "application/xml"}, body.encode())
        if what == "away":
            place = "s3://log/prefix?endpoint=http://127.0.0.1:9&region=us-east-1"
        bucket: Bucket = open_bucket(place)
        for use in (
            lambda: bucket.read("checkpoint"),
            lambda: bucket.write(FIXED[:1]),
            bucket.check,
            bucket.names,
        ):
            with pytest.raises(LedgerUnavailable, match=r"s3://.* cannot be used") as refusal:
                use()
            shown = str(refusal.getrepr(style="native")) + caplog.text
            assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in shown
            assert "told-in-confidence" not in shown


def test_a_forked_process_is_told_rather_than_left_waiting() -> None:
    """The driver's threads are the parent's, so that a child that went on would wait for ever."""
    program = """if True:
        import os
        from consentkit.evidence import s3
        s3._RETRY = {"max_retries": 0}
        bucket = s3.S3.of_url("s3://log/prefix?endpoint=http://127.0.0.1:9&region=us-east-1")
        def told():
            try:
                bucket.read("checkpoint")
            except Exception as error:
                print(error, flush=True)
        told()
        if not (child := os.fork()):
            told()
            os._exit(0)
        os.waitpid(child, 0)
        told()
    """
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    before, child, after = done.stdout.splitlines()
    assert "cannot be used: " in before
    assert "forked from one that used it" in child
    assert "cannot be used: " in after
