"""Loss scaling: float16 has no numbers below 6e-8, so the loss is multiplied before its gradients are computed in it.

If a gradient overflows, the step is left out and the scale is halved; after many good steps it is doubled. All of this
happens on the GPU: nothing is read back to decide about a step.
"""

from functools import partial
from typing import Any

import numpy as np

from minidl.capture import if_capture_fails
from minidl.device import CPU, Array, array_module, at
from minidl.kernels import Arrays, backend
from minidl.optim.optimizer import Optimizer
from minidl.scalars import number, whole
from minidl.tensor import Tensor


class GradScaler:
    """The dynamic loss scale of float16 gradients, by PyTorch's rules.

        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)          # optional: to clip the gradients, for example
        scaler.step(optimizer)
        scaler.update()

    init_scale       the scale of the first step
    growth_factor    by which the scale grows after `growth_interval` steps without an overflow
    backoff_factor   by which it is multiplied after an overflow
    `scale_value` and `skipped`, the number of steps left out, wait for the GPU.
    Micikevicius et al., "Mixed precision training", ICLR 2018, section 3.2.
    """

    def __init__(self, init_scale: float = 65536.0, growth_factor: float = 2.0, backoff_factor: float = 0.5,
                 growth_interval: int = 2000):
        name = "GradScaler"
        self.init_scale = number(name, "init_scale", init_scale, 1e-30)
        self.growth_factor = number(name, "growth_factor", growth_factor, 1)
        self.backoff_factor = number(name, "backoff_factor", backoff_factor, 0, 1)
        self.growth_interval = whole(name, "growth_interval", growth_interval)
        self.growing: float = 0
        self.skipped_before = 0
        self.unscaled = False
        self.state: Any = None                   # float32 (4,) on the GPU, whose elements are:
        self.value: Any = None                   # the scale,
        self.good: Any = None                    # the good steps since it last changed,
        self.found: Any = None                   # whether a gradient of this step is not finite, 0 or 1,
        self.left_out: Any = None                # and the number of steps that were left out

    def begin(self, x: Array) -> None:
        """Put the state where the array x is."""
        if self.state is None:
            start = np.array([self.init_scale, self.growing, 0, self.skipped_before], np.float32)
            with at(x):
                self.state = array_module(x).asarray(start)
                self.value, self.good, self.found, self.left_out = (self.state[i, ...] for i in range(4))

    def scale(self, loss: Tensor) -> Tensor:
        """The loss times the scale."""
        self.begin(loss.data)
        return loss * Tensor.made_by(self.value, None)

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of an optimizer by the scale, in place, and note whether one is not finite."""
        if self.unscaled:
            raise RuntimeError("unscale_: the gradients have been divided by the scale already; call update() first")
        grads = [p.grad for p in optimizer.parameters if p.grad is not None]
        if not grads:
            raise RuntimeError("unscale_: no parameter has a gradient; call scaler.scale(loss).backward() first")
        self.begin(grads[0])
        with at(grads[0]):
            for dtype in {grad.dtype for grad in grads}:
                some = Arrays(grad for grad in grads if grad.dtype == dtype)
                backend(some[0]).unscale(some, self.value, self.found)
        self.unscaled = True
        if_capture_fails(partial(setattr, self, "unscaled", False))

    def step(self, optimizer: Optimizer) -> None:
        """optimizer.step(), which does nothing if a gradient was not finite."""
        if not self.unscaled:
            self.unscale_(optimizer)
        optimizer.skip = self.found
        if optimizer.skipped is None:
            with at(self.found):
                optimizer.skipped = array_module(self.found).zeros((), dtype=np.float64)
        try:
            with at(self.found):
                optimizer.skipped += self.found         # first: this step does not count if it is left out
            optimizer.step()
        finally:
            optimizer.skip = None

    def update(self) -> None:
        """Set the scale for the next step."""
        if self.state is None or not self.unscaled:
            raise RuntimeError("update: no gradients have been unscaled since the last update; call step() first")
        with at(self.state):
            xp, overflow = array_module(self.state), self.found != 0
            good = xp.where(overflow, 0, self.good + 1)
            grows = good >= self.growth_interval
            grown = xp.where(grows, self.value * self.growth_factor, self.value)
            grown = xp.where(xp.isfinite(grown), grown, self.value)
            self.value[...] = xp.where(overflow, self.value * self.backoff_factor, grown)
            self.good[...] = xp.where(grows, 0, good)
            self.left_out += self.found
            self.found.fill(0)
        self.unscaled = False

    def numbers(self) -> list[float]:
        """(scale, good steps since it last changed, 0, steps left out), for which the GPU is waited for."""
        if self.state is None:
            return [self.init_scale, self.growing, 0, self.skipped_before]
        return CPU.put(self.state).tolist()      # type: ignore[no-any-return]

    @property
    def scale_value(self) -> float:
        """The scale."""
        return self.numbers()[0]

    @property
    def skipped(self) -> int:
        """How many steps were left out."""
        return int(self.numbers()[3])

    def state_dict(self) -> dict[str, Any]:
        """The state for resuming, for JSON."""
        scale, good, _, skipped = self.numbers()
        return {"scale": scale, "growth_tracker": int(good), "skipped": int(skipped)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`."""
        self.init_scale, self.state = number("GradScaler", "scale", state["scale"], 0), None
        self.growing, self.skipped_before = whole("GradScaler", "growth_tracker", state["growth_tracker"], 0), whole(
            "GradScaler", "skipped", state["skipped"], 0)
