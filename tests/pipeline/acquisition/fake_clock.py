"""A clock that only advances when somebody waits for it."""


class FakeClock:
    """Records the waits. Called, it is the time in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
