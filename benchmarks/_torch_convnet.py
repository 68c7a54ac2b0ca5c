"""CordsNet in torch eager, as one writes it: the peer of the benchmark of convolutional recurrent networks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as nn
from torch.nn.utils.parametrizations import weight_norm

from fisherjax import vision
from fisherjax.vision._convolution import Convolution


class Steps(NamedTuple):
    """Steps before, with and after the image."""

    blank: int
    image: int
    offset: int = 0


class TorchCordsNet(torch.nn.Module):
    """Convolutions under weight normalization, whose weights torch computes at every use.

    ``drive="per step"`` sends the image, or a blank one, through the stem for areas 0 and 1 at every step, as the
    published code does; ``"cached"`` does so once. ``normalize="per use"`` is the published form, ``"once"`` computes
    all weights before the loop.
    """

    def __init__(self, network: vision.ConvolutionalRNN, *, drive: str, normalize: str):
        """Copy the weights."""
        super().__init__()
        plan = network.architecture
        self.plan, self.drive, self.normalize = plan, drive, normalize
        self.stem, self.skip = _convolution(network.stem), _convolution(network.input_skip)
        self.recurrent = torch.nn.ModuleList(map(_convolution, network.recurrent))
        self.feedforward = torch.nn.ModuleList(map(_convolution, network.feedforward))
        self.skips = torch.nn.ModuleDict(
            {str(j): _convolution(one) for j, one in enumerate(network.skips) if one is not None}
        )
        self.biases = torch.nn.ParameterList([torch.tensor(np.asarray(one)) for one in network.biases])
        self.readout = torch.nn.Linear(plan.channels[-1], plan.num_classes)
        with torch.no_grad():
            self.readout.weight.copy_(torch.tensor(np.asarray(network.output.weights)))
            self.readout.bias.copy_(torch.tensor(np.asarray(network.output.bias)))

    def forward(self, images: torch.Tensor, steps: Steps, record: Sequence[int] = ()) -> tuple[Any, Any]:
        """Logits of every image step (image steps, batch, K), and states after the recorded steps."""
        if self.normalize == "once":
            with torch.nn.utils.parametrize.cached():
                return self._respond(images, steps, record)
        return self._respond(images, steps, record)

    def _respond(self, images: torch.Tensor, steps: Steps, record: Sequence[int]) -> tuple[Any, Any]:
        plan = self.plan
        state = [torch.zeros(len(images), *one.shape) for one in self.biases]
        blank = torch.zeros_like(images)
        cached = (self._drive(blank), self._drive(images)) if self.drive == "cached" else None
        logits, kept = [], {}
        for step in range(sum(steps)):
            on = steps.blank <= step < steps.blank + steps.image
            first, second = cached[on] if cached else self._drive(images if on else blank)
            active = [torch.relu(one) for one in state]
            new = []
            for j, alpha in enumerate(plan.alpha):
                if j == 0:
                    drive = first
                elif j == 1:
                    drive = self.feedforward[1](active[0] + second)
                else:
                    skip = self.skips[str(j - 2)](active[j - 2]) if str(j - 2) in self.skips else active[j - 2]
                    drive = self.feedforward[j](active[j - 1] + skip)
                current = torch.relu(self.recurrent[j](state[j]) + self.biases[j] + drive)
                new.append((1 - alpha) * state[j] + alpha * current)
            state = new
            if on:
                logits.append(self.readout((torch.relu(state[-1]) + torch.relu(state[-2])).mean((2, 3))))
            if step + 1 in record:
                kept[step + 1] = state
        return torch.stack(logits), kept

    def _drive(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen = self.stem(images)
        seen = nn.avg_pool2d(seen, 3, 2, 1) if self.plan.stem_pooling else seen
        return self.feedforward[0](seen), self.skip(seen)


def _convolution(one: Convolution) -> Any:
    weights = torch.tensor(np.asarray(one.weights))
    out, sources, side, _ = weights.shape
    module = torch.nn.Conv2d(sources, out, side, stride=one.stride, padding=side // 2, bias=False)
    with torch.no_grad():
        module.weight.copy_(weights)
    return weight_norm(module)
