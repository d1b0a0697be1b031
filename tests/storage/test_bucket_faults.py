"""A proxy between the job and the bucket that misbehaves: what passes is borne, what lasts is said."""

import itertools
import threading

import pytest
import storage_servers

from selection_api.datasource import Datasource
from selection_job.errors import StorageRefused, StorageUnavailable
from selection_job.stores.cloud.provider_client import VendorError
from selection_job.stores.cloud.retrying import RetryPolicy
from selection_job.stores.opening import open_bucket

XML = b"<Error><Code>%s</Code><Message>no</Message></Error>"
CONTENT = bytes(range(256)) * 400


class Faults:
    """Meddles with the first n requests of a kind; counts them."""

    def __init__(self):
        self.left, self.fault, self.method, self.count = 0, None, "GET", 0
        self._lock = threading.Lock()

    def plan(self, n, fault, method="GET"):
        self.left, self.fault, self.method, self.count = n, fault, method, 0

    def __call__(self, request):
        with self._lock:
            self.count += request.method == self.method
            if request.method != self.method or self.left <= 0:
                return None
            self.left -= 1
        return self.fault(request)


@pytest.fixture
def behind(make_place, mount, moto):
    """A store over S3 behind a faulty proxy, the faults, and how long its patience waited."""
    faults, waits, clock = Faults(), [], [0.0]

    def sleep(seconds):
        waits.append(seconds)
        clock[0] += seconds

    place = make_place("s3-moto")
    mount("input", place.secret)
    with storage_servers.proxying(moto, faults) as url:
        model = Datasource.model_validate({**place.reference("a-secret"), "endpoint": url})
        retry_policy = RetryPolicy(attempts=5, sleep=sleep, now=lambda: clock[0], jitter=lambda: 0.0)
        store = open_bucket(model, purpose="input", retry_policy=retry_policy)
        store.write("a.jpg", CONTENT)
        yield store, faults, waits


def say(status, code, **headers):
    return lambda request: (status, {name.replace("_", "-"): value for name, value in headers.items()}, XML % code)


def cut(request):
    """Promise more than comes, then hang up."""
    return 200, {"Content-Length": "102400", "ETag": '"x"', "Last-Modified": "Mon, 23 Nov 2026 02:00:00 GMT"}, b"half"


def garble(request):
    """Answer with bytes that are not the object's, under its ETag."""
    from hashlib import md5

    named = {"ETag": f'"{md5(CONTENT).hexdigest()}"', "Last-Modified": "Mon, 23 Nov 2026 02:00:00 GMT"}
    return 200, named, CONTENT[:-1] + b"?"


def hang_up(request):
    """Close the connection without a word."""
    return storage_servers.HANG_UP


PASSING = {
    "slow down": say(503, b"SlowDown"),
    "internal": say(500, b"InternalError"),
    "too many": say(429, b"TooManyRequests"),
    "timeout": say(400, b"RequestTimeout"),
    "cut": cut,
    "hang up": hang_up,
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("n", [1, 4])
def test_a_passing_fault_while_reading_is_borne(behind, fault, n):
    store, faults, _ = behind
    faults.plan(n, fault)
    assert store.read("a.jpg") == CONTENT
    assert faults.left == 0


def test_garbled_bytes_are_read_again(behind):
    store, faults, _ = behind
    faults.plan(1, garble)
    assert store.read("a.jpg") == CONTENT


@pytest.mark.parametrize("fault", [garble, cut, *map(PASSING.get, ["slow down", "hang up"])])
def test_a_file_comes_down_whole_and_as_it_is(behind, fault, tmp_path):
    store, faults, _ = behind
    faults.plan(1, fault)
    store.download("a.jpg", tmp_path / "a.jpg")
    assert (tmp_path / "a.jpg").read_bytes() == CONTENT
    assert faults.left == 0


@pytest.mark.parametrize("name", [name for name in PASSING if name != "cut"])
def test_a_passing_fault_while_writing_is_borne(behind, name, tmp_path):
    (store, faults, _), fault = behind, PASSING[name]
    faults.plan(2, fault, "PUT")
    store.write("b.jpg", CONTENT)
    (tmp_path / "file").write_bytes(CONTENT)
    faults.plan(2, fault, "PUT")
    store.upload("c.jpg", tmp_path / "file")
    assert store.read("b.jpg") == store.read("c.jpg") == CONTENT


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_passing_fault_while_listing_is_borne(behind, fault):
    store, faults, _ = behind
    faults.plan(2, fault)
    assert [info.key for info in store.list()] == ["a.jpg"]


def test_a_lasting_fault_ends_in_try_again_with_the_providers_code(behind):
    store, faults, waits = behind
    faults.plan(100, say(503, b"SlowDown"))
    with pytest.raises(StorageUnavailable, match=r"READ on s3://.*/a\.jpg failed for now.*SlowDown: no"):
        store.read("a.jpg")
    assert waits == [0.25, 0.5, 1.0, 2.0], "waits double, halved here by the jitter's least"


def test_retry_after_is_honoured(behind):
    store, faults, waits = behind
    faults.plan(5, say(503, b"SlowDown", Retry_After="7"))
    assert store.read("a.jpg") == CONTENT
    assert waits == [7.0] * 4, "the fast client's answer, which hides what was asked for, and four of the SDK's"
    assert faults.count == 6


@pytest.mark.parametrize(
    ("status", "code"), [(403, b"AccessDenied"), (401, b"Unauthorized"), (403, b"InvalidAccessKeyId")]
)
def test_a_refusal_is_not_tried_again(behind, status, code):
    store, faults, waits = behind
    faults.plan(100, say(status, code))
    with pytest.raises(StorageRefused, match=code.decode()):
        store.read("a.jpg")
    assert waits == []
    assert faults.count <= 3


def test_new_keys_in_the_secret_are_used_when_the_old_ones_expire(behind, mount):
    """A mounted Secret changes under the running job, as one that is renewed does."""
    store, faults, _ = behind

    def expired(request):
        if "/AKIANEW" in request.headers.get("authorization", "") + request.path.replace("%2F", "/"):
            return None
        faults.left += 1
        return say(400, b"ExpiredToken")(request)

    faults.plan(1, expired)
    with pytest.raises(StorageRefused, match="session token has expired"):
        store.read("a.jpg")
    mount("input", {"access_key": "AKIANEW", "secret_access_key": "new", "session_token": "fresh"})
    faults.fault = lambda request: (
        None if "AKIANEW" in request.headers["authorization"] else say(400, b"ExpiredToken")(request)
    )
    faults.left = 100
    assert store.read("a.jpg") == CONTENT


def listing(keys, token=None):
    """Return a page of a listing."""
    objects = b"".join(b"<Contents><Key>%s</Key><Size>1</Size><ETag>e</ETag></Contents>" % key for key in keys)
    more = b"<IsTruncated>true</IsTruncated>" + (
        b"<NextContinuationToken>%s</NextContinuationToken>" % token if token else b""
    )
    return b"<ListBucketResult>%s%s</ListBucketResult>" % (objects, more if token is not None else b"")


def pages(*bodies):
    queue = list(bodies)
    return lambda request: (200, {}, queue.pop(0))


def names(prefix, *keys):
    return [f"{prefix}{key}".encode() for key in keys]


def test_a_page_given_twice_counts_once(behind):
    store, faults, _ = behind
    first = names(store.url.removeprefix("s3://pictures/"), "a", "b")
    second = names(store.url.removeprefix("s3://pictures/"), "c")
    faults.plan(3, pages(listing(first, b"t1"), listing(first, b"t2"), listing(second)))
    assert [info.key for info in store.list()] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "broken", [listing([], b""), b"<ListBucketResult><Contents>", b"not xml"], ids=["end", "cut", "text"]
)
def test_a_listing_without_its_next_page_is_asked_for_again(behind, broken):
    store, faults, _ = behind
    faults.plan(2, pages(broken, broken))
    assert [info.key for info in store.list()] == ["a.jpg"]


@pytest.mark.parametrize("n_tokens", [1, 2, 5])
def test_a_listing_that_goes_in_a_circle_ends(behind, n_tokens):
    store, faults, _ = behind
    prefix = store.url.removeprefix("s3://pictures/")
    circle = itertools.cycle([listing(names(prefix, f"a{i}"), b"t%d" % i) for i in range(n_tokens)])
    faults.plan(100, lambda request: (200, {}, next(circle)))
    with pytest.raises(StorageUnavailable, match="circle"):
        list(store.list())
    assert faults.count == n_tokens + 1, "it ends at the first page that was there before"


def test_waits_double_up_to_a_limit_and_differ_between_processes():
    calm = RetryPolicy(first_wait_s=1, longest_wait_s=10, jitter=lambda: 1.0)
    assert [calm.wait_s(attempt, 0) for attempt in range(6)] == [1, 2, 4, 8, 10, 10]
    assert RetryPolicy(first_wait_s=1, jitter=lambda: 0.0).wait_s(0, 0) == 0.5
    assert calm.wait_s(0, 3) == 4, "what was asked for, and a little of one's own"


def test_patience_ends():
    calls = []

    def fail():
        calls.append(1)
        raise VendorError(503, "SlowDown", "")

    with pytest.raises(VendorError):
        RetryPolicy(attempts=3, sleep=lambda seconds: None).insist(fail)
    assert len(calls) == 3
