"""Ctrl-C and SIGTERM, as a wish that is granted between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether somebody asked for the end."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @property
    def asked(self) -> bool:
        return self.signal is not None

    def obey(self) -> None:
        """End as the signal would have ended the process."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise SystemExit(128 + self.signal)


@contextmanager
def stopping(patient: bool = False) -> Iterator[Stop]:
    """While inside, the first signal is remembered; another one is not waited for, unless `patient`.

    One of several processes is: Ctrl-C reaches it from the terminal, and again from whoever started it.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals reach the main thread alone
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def remember(number: int, _: FrameType | None) -> None:
        stop.signal = number
        for each in () if patient else signals:
            signal.signal(each, before[each])

    for number in signals:
        # Whoever was started in the background by a shell ignores Ctrl-C, and so do we.
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, remember)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
