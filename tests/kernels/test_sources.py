"""Sources of bytes (web/runtime/sources.js) in Chromium, against a server that errs on purpose."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest
from gpu_page import GpuPage
from page_server import ServedFile

from leadout.errors import SourceError

DATA = random.Random(7).randbytes(3_000_001)

#: On a busy machine a request takes its time to reach the server.
STALL_MS = 500

#: Waits before retries, so that tests of failures are quick.
RETRY_MS = 5

CORS = {"Access-Control-Allow-Origin": "*"}
EXPOSED = {**CORS, "Access-Control-Expose-Headers": "Content-Range, ETag"}


class PageSource:
    """A source in the page."""

    def __init__(
        self, page: GpuPage, spec: dict[str, Any], blob: bytes = b"", **options: int
    ) -> None:
        self.page = page
        options = {"retryMs": RETRY_MS, **options}
        self.source = page.call("openSource", blob, spec=spec, options=options)

    def size(self) -> int:
        return int(self.page.call("sourceSize", source=self.source))

    def read(self, *ranges: tuple[int, int]) -> bytes:
        """Read (offset, length) ranges, all asked for at once, and join them."""
        return bytes(self.page.call("readSource", source=self.source, reads=ranges))

    def close(self) -> None:
        self.page.call("closeSource", source=self.source)


class Site:
    """A file on the server, under an address of this test's own."""

    def __init__(self, page: GpuPage, name: str) -> None:
        self.page = page
        self.name = name

    def serve(self, data: bytes = DATA, **options: Any) -> ServedFile:
        return self.page.server.file(self.name, data, **options)

    def url(self, host: str = "127.0.0.1") -> str:
        return self.page.server.url(f"/files/{self.name}?token=secret", host)

    def open(self, host: str = "127.0.0.1", **options: int) -> PageSource:
        return PageSource(self.page, {"url": self.url(host)}, **options)


@pytest.fixture
def site(gpu_page: GpuPage, request: pytest.FixtureRequest) -> Site:
    return Site(gpu_page, f"{zlib.crc32(request.node.name.encode())}/model.gguf")


@pytest.fixture(params=["url", "blob", "memory"])
def source(request: pytest.FixtureRequest, gpu_page: GpuPage, site: Site) -> PageSource:
    """The same bytes from every kind of source."""
    if request.param == "url":
        site.serve()
        return site.open()
    return PageSource(gpu_page, {request.param: len(DATA)}, DATA)


# ---- every source -------------------------------------------------------------------------


def test_size_and_ranges_are_exact(source: PageSource) -> None:
    assert source.size() == len(DATA)
    ranges = [
        (0, 4),  # a header's small reads
        (4, 20),
        (24, 500_000),  # longer than the first window
        (500_024, 1_000_000),
        (1_500_056, 1_000_000),  # after a gap
        (len(DATA) - 3, 3),
        (0, len(DATA)),
        (100, 0),
    ]
    assert source.read(*ranges) == b"".join(DATA[start : start + n] for start, n in ranges)
    source.close()
    assert source.read((7, 7)) == DATA[7:14]


def test_reads_all_over_the_place_are_exact(source: PageSource) -> None:
    generator = random.Random(11)
    starts = [generator.randrange(len(DATA) - 1) for _ in range(40)]
    ranges = [(at, generator.randrange(min(400_000, len(DATA) - at))) for at in starts]
    assert source.read(*ranges) == b"".join(DATA[start : start + n] for start, n in ranges)


@pytest.mark.parametrize("kind", ["url", "blob", "memory"])
def test_a_read_ends_though_garbage_is_collected_meanwhile(
    kind: str, gpu_page: GpuPage, site: Site
) -> None:
    site.serve()
    spec = {"url": site.url()} if kind == "url" else {kind: len(DATA)}
    for _ in range(8):  # a read that is quicker than the collector proves nothing
        assert gpu_page.call("readCollecting", DATA, spec=spec, length=len(DATA)) == DATA


@pytest.mark.parametrize("range_", [(len(DATA) - 3, 4), (len(DATA) + 1, 0), (-1, 4), (0.5, 4)])
def test_a_read_past_the_end_says_what_was_asked_for(
    source: PageSource, range_: tuple[int, int]
) -> None:
    offset, length = range_
    message = rf"has 3000001 bytes, and {length} bytes at {offset} were asked for"
    with pytest.raises(SourceError, match=message):
        source.read(range_)
    assert source.read((0, 4)) == DATA[:4]


# ---- HTTP ---------------------------------------------------------------------------------


def test_small_reads_in_a_row_make_few_requests(site: Site) -> None:
    served = site.serve()
    read = site.open().read(*((start, 1000) for start in range(0, 3_000_000, 1000)))
    assert read == DATA[:3_000_000]
    # The first one tells the size as well.
    sizes = [256 << 10, 1 << 20, len(DATA) - (5 << 18)]
    ends = [256 << 10, 5 << 18, len(DATA)]
    assert served.requests == [
        f"bytes={end - size}-{end - 1}" for size, end in zip(sizes, ends, strict=True)
    ]


def test_an_empty_file_has_size_zero(site: Site) -> None:
    site.serve(b"")
    assert site.open().size() == 0


@pytest.mark.parametrize(
    ("status", "advice"),
    [(404, "check the address"), (403, "from your disk"), (401, "wants a login"), (418, "check")],
)
def test_a_refusal_says_the_status_and_what_to_do(site: Site, status: int, advice: str) -> None:
    site.serve(statuses=[status])
    with pytest.raises(SourceError, match=f"the server answered {status}; .*{advice}") as caught:
        site.open().size()
    assert caught.value.detail["status"] == status
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("content_type", "found"),
    [(None, "does not answer Range requests"), ("text/html; charset=utf-8", "is a web page")],
)
def test_a_server_without_range_support_is_refused_without_downloading(
    site: Site, content_type: str | None, found: str
) -> None:
    served = site.serve(DATA * 30, has_ranges=False, content_type=content_type)
    with pytest.raises(SourceError, match=found):
        site.open().size()
    assert served.sent_bytes < len(served.data) / 2


def test_nobody_there_is_a_named_error(gpu_page: GpuPage) -> None:
    source = PageSource(gpu_page, {"url": "http://127.0.0.1:1/model.gguf"})
    with pytest.raises(SourceError, match=r"no connection, .*\(CORS\), .*Content-Security-Policy"):
        source.size()


def test_a_cut_connection_is_taken_up_where_it_stopped(site: Site) -> None:
    served = site.serve(cuts=[100_000, 0, 300_000])
    assert site.open().read((0, len(DATA))) == DATA
    starts = [int(asked.removeprefix("bytes=").split("-")[0]) for asked in served.requests]
    assert starts[0] == 0
    assert 0 < starts[1] <= 100_000
    assert starts[2] == starts[1]
    assert starts[2] < starts[3] <= 400_000
    assert len(starts) == 4


def test_a_connection_cut_for_good_says_how_far_it_came(site: Site) -> None:
    served = site.serve(cuts=[1000, *[0] * 30])
    with pytest.raises(
        SourceError, match=r"stopped at byte \d+ \(.* of .*\): the connection was cut"
    ):
        site.open().read((0, 200_000))
    assert len(served.requests) == 1 + 4
    served.cuts.clear()
    assert site.open().read((0, 200_000)) == DATA[:200_000]


def test_a_connection_that_brings_nothing_is_taken_up_again_and_given_up_at_last(
    site: Site,
) -> None:
    """Each is one of the browser's six to this host, so they are let go of."""
    served = site.serve(cuts=[100_000, 0], is_stuck=True)
    assert site.open(stallMs=STALL_MS).read((0, len(DATA))) == DATA
    assert len(served.requests) == 3
    source = site.open(stallMs=STALL_MS)
    source.size()
    served.cuts = [0] * 8
    with pytest.raises(SourceError, match=r"stopped at byte \d+ .*nothing came for 0\.5 s"):
        source.read((2_000_000, 1000))


def test_a_server_that_says_nothing_is_given_up(site: Site) -> None:
    served = site.serve(is_silent=True)
    with pytest.raises(SourceError, match=r"cannot be fetched: nothing came for 0\.5 s"):
        site.open(stallMs=STALL_MS).size()
    assert len(served.requests) == 4


def test_a_busy_server_is_asked_again(site: Site) -> None:
    served = site.serve()
    source = site.open()
    source.size()
    served.statuses = [503, 429]
    assert source.read((500_000, 1000)) == DATA[500_000:501_000]
    served.statuses = [503] * 4
    with pytest.raises(SourceError, match="the server answered 503"):
        source.read((2_000_000, 1000))


def test_a_file_that_goes_away_while_it_is_read_is_a_named_error(site: Site) -> None:
    site.serve()
    source = site.open()
    source.size()
    site.page.server.files.clear()
    assert source.read((0, 1000)) == DATA[:1000]  # came with the size
    with pytest.raises(SourceError, match="the server answered 404"):
        source.read((500_000, 1000))


@pytest.mark.parametrize(
    "change",
    [
        {"etag": '"two"'},
        {"data": DATA[:-1]},
        {"data": DATA[:10]},
        {"etag": "x", "has_ranges": False},
    ],
)
def test_a_file_that_changes_while_it_is_read_is_noticed(
    site: Site, change: dict[str, Any]
) -> None:
    served = site.serve()
    source = site.open()
    assert source.read((0, 1000)) == DATA[:1000]
    for name, value in change.items():
        setattr(served, name, value)
    with pytest.raises(SourceError, match="was changed on the server while it was being read"):
        source.read((2_000_000, 1000))


def test_another_origin_that_allows_it_is_read(site: Site) -> None:
    served = site.serve(cors=EXPOSED)
    assert site.open(host="localhost").read((0, 1000)) == DATA[:1000]
    assert "HEAD" not in served.requests


@pytest.mark.browser_only  # Node knows no other origins
def test_another_origin_that_hides_the_size_is_asked_for_it(site: Site) -> None:
    served = site.serve(cors=CORS)
    source = site.open(host="localhost")
    assert source.size() == len(DATA)
    assert source.read((0, 1000)) == DATA[:1000]  # came with the size
    assert served.requests == [f"bytes=0-{(256 << 10) - 1}", "HEAD"]


@pytest.mark.browser_only  # Node knows no other origins
def test_another_origin_that_forbids_it_is_a_named_error(site: Site) -> None:
    site.serve()
    with pytest.raises(SourceError, match="does not allow this page"):
        site.open(host="localhost").size()


def test_closing_cancels_a_read_under_way(site: Site) -> None:
    site.serve(cuts=[0] * 30)
    source = site.open()
    source.size()
    site.page.evaluate(
        """(source) => {
          const args = { source, reads: [[0, 1000]] };
          globalThis.cancelled = harness("readSource", args, "data:,", "/blobs/unused");
        }""",
        source.source,
    )
    source.close()
    assert site.page.evaluate("() => cancelled")["error"]["name"] == "AbortError"
