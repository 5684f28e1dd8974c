"""Operations on the values of pixels, one by one."""

from __future__ import annotations

from .operation import (
    BRIGHTNESS,
    Drawn,
    Floats,
    Frame,
    Operation,
    Step,
    interval,
    local_step,
    spread,
)  # fmt: skip


class Brightness(Operation):
    """Add one random number to all pixels of an image, rounded and saturated.

    Parameters
    ----------
    shift : float or (float, float), default=30
        Range in grey levels; one number s means (-s, s).
    p : float, default=1.0
        Probability of each image to be changed.
    """

    n_draws = 1

    def __init__(self, shift: float | tuple[float, float] = 30.0, *, p: float = 1.0) -> None:
        super().__init__(p)
        self.shift = interval(shift, -65535.0, 65535.0, "shift")

    def draw(self, uniforms: Floats) -> dict[str, Floats]:
        return {"shift": spread(uniforms[:, 0], self.shift)}

    def steps(self, drawn: Drawn, frame: Frame, position: int) -> list[Step]:
        return [local_step(BRIGHTNESS, drawn, frame, position, [drawn.values["shift"]])]
