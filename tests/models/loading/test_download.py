import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from urllib.error import URLError

import pytest
import torch

from striate.models.loading import download
from striate.models.loading.download import fetched

CONTENT = bytes(range(256)) * 10_000
DIGITS = hashlib.sha256(CONTENT).hexdigest()[:8]
ADDRESS = f"https://weights.example/net-{DIGITS}.pth"


class Answer(io.BytesIO):
    """What a server sends, which may announce more than it sends, or break off."""

    def __init__(self, content: bytes, announced: str | None = None, error: Exception | None = None) -> None:
        super().__init__(content)
        self.headers = {} if announced is None else {"Content-Length": announced}
        self._error = error

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        if self._error is not None and not found:
            raise self._error
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PyTorch's folder of such files."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    return tmp_path / "checkpoints"


@pytest.fixture
def serve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Answer]], list[str]]:
    """Have an answer given; the addresses that were asked for."""

    def given(answer: Callable[[], Answer]) -> list[str]:
        asked: list[str] = []

        def urlopen(address: str, timeout: float) -> Answer:
            assert 0 < timeout < 600
            asked.append(address)
            return answer()

        monkeypatch.setattr(download, "urlopen", urlopen)
        return asked

    return given


Serve = Callable[[Callable[[], Answer]], list[str]]


@pytest.mark.parametrize("announced", [None, str(len(CONTENT))])
def test_fetched_once(serve: Serve, folder: Path, announced: str | None):
    asked = serve(lambda: Answer(CONTENT, announced))
    assert fetched(ADDRESS) == fetched(ADDRESS) == folder / f"net-{DIGITS}.pth"
    assert asked == [ADDRESS]
    assert [file.read_bytes() for file in folder.iterdir()] == [CONTENT]


def test_fetched_by_two_at_once(serve: Serve, folder: Path):
    class Slow(Answer):
        """Of a server that is overtaken."""

        def read(self, size: int | None = -1, /) -> bytes:
            fetched(ADDRESS)
            return super().read(size)

    answers = iter([Slow(CONTENT), Answer(CONTENT)])
    serve(lambda: next(answers))
    file = fetched(ADDRESS)
    assert {other.name: other.read_bytes() for other in folder.iterdir()} == {file.name: CONTENT}
    (folder / "any").touch()
    assert file.stat().st_mode == (folder / "any").stat().st_mode


def raised(error: BaseException) -> Answer:
    raise error


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            lambda: Answer(CONTENT, error=ConnectionResetError("reset by peer")),
            "reset by peer; a file that is here can",
        ),
        (lambda: Answer(CONTENT[:-1], str(len(CONTENT))), "2,559,999 of 2,560,000 bytes came"),
        (lambda: Answer(CONTENT, "many"), "invalid literal"),
        (lambda: raised(URLError("Name or service not known")), "Name or service not known"),
        (lambda: raised(TimeoutError("timed out")), "timed out"),
    ],
)
def test_what_does_not_come_whole_is_not_there(serve: Serve, folder: Path, answer: Callable[[], Answer], message: str):
    serve(answer)
    with pytest.raises(ConnectionError, match=f"cannot fetch {ADDRESS}: .*{message}"):
        fetched(ADDRESS)
    assert list(folder.iterdir()) == []
    serve(lambda: Answer(CONTENT))
    assert fetched(ADDRESS).read_bytes() == CONTENT


def test_an_interrupt_leaves_nothing(serve: Serve, folder: Path):
    class Interrupted(Answer):
        """Of a user who waits no longer."""

        def read(self, size: int | None = -1, /) -> bytes:
            raise KeyboardInterrupt

    serve(lambda: Interrupted(CONTENT))
    with pytest.raises(KeyboardInterrupt):
        fetched(ADDRESS)
    assert list(folder.iterdir()) == []


def test_another_file(serve: Serve, folder: Path):
    serve(lambda: Answer(CONTENT + b"x"))
    with pytest.raises(
        ValueError, match=f"the SHA-256 must begin with {DIGITS}, as published, got [0-9a-f]{{8}}: http"
    ):
        fetched(ADDRESS)
    assert list(folder.iterdir()) == []


def test_a_file_that_was_altered(serve: Serve, folder: Path):
    asked = serve(lambda: Answer(CONTENT))
    fetched(ADDRESS).write_bytes(CONTENT[1:])
    with pytest.raises(ValueError, match=rf"must begin with {DIGITS}, .*net-{DIGITS}.pth; delete it to fetch it anew"):
        fetched(ADDRESS)
    assert len(asked) == 1


def test_too_much(serve: Serve, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(download, "_LARGEST", len(CONTENT) - 1)
    serve(lambda: Answer(CONTENT))
    with pytest.raises(ConnectionError, match="it is larger than 2,559,999 bytes"):
        fetched(ADDRESS)
    assert list(folder.iterdir()) == []


def test_a_name_without_a_hash(serve: Serve, folder: Path):
    serve(lambda: Answer(CONTENT))
    with pytest.raises(ValueError, match="the SHA-256 must begin with net"):
        fetched("https://weights.example/net.pth")
    assert list(folder.iterdir()) == []
