import os
import signal
import threading

import pytest

from striate.training.signals import StopRequest

NUMBERS = (signal.SIGTERM, signal.SIGINT)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in NUMBERS]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_only_asks(number: int):
    before = handlers()
    with StopRequest() as request:
        assert request.signal is None
        os.kill(os.getpid(), number)
        assert request.signal == number
        assert handlers() != before
    assert handlers() == before


def test_handlers_are_restored_after_an_error():
    before = handlers()
    with pytest.raises(RuntimeError, match="in the body"), StopRequest():
        raise RuntimeError("in the body")
    assert handlers() == before


def test_no_effect_outside_the_main_thread():
    before, seen = handlers(), []

    def work() -> None:
        with StopRequest() as request:
            seen.extend(handlers())
            request.leave()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == before == handlers()


def test_leaving():
    request = StopRequest()
    request.leave()
    request.signal = signal.SIGINT
    with pytest.raises(KeyboardInterrupt):
        request.leave()
    request.signal = signal.SIGTERM
    with pytest.raises(SystemExit) as left:
        request.leave()
    assert left.value.code == 143


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_ends_the_process(number: int, status: int):
    child = os.fork()
    if child == 0:
        with StopRequest():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), number)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == status
