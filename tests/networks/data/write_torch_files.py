"""Write the files of this folder, with torch 2.13: networks as torch saves them, and what they do with some inputs.

python write_torch_files.py
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent
NUM_INPUTS, NUM_UNITS, NUM_OUTPUTS = 2, 6, 3


class WithReadout(nn.Module):
    """A recurrent network and what reads it out, as most people write it."""

    def __init__(self, kind, units=NUM_UNITS, outputs=NUM_OUTPUTS, **options):
        super().__init__()
        self.rnn = kind(NUM_INPUTS, units, **options)
        self.fc = nn.Linear(units, outputs)

    def forward(self, inputs):
        states, _ = self.rnn(inputs)
        return states, self.fc(states)


class PyRNN(nn.Module):
    """The equations and names of pyrnn's RNN, and of its CTRNN where there is a leak."""

    def __init__(self, leak=None, biases=False):
        super().__init__()
        self.leak = leak
        self.w_in = nn.Linear(NUM_INPUTS, NUM_UNITS, bias=biases)
        self.w_rec = nn.Linear(NUM_UNITS, NUM_UNITS)
        self.w_out = nn.Linear(NUM_UNITS, NUM_OUTPUTS, bias=biases)

    def follow(self, inputs):
        h, states = torch.zeros(inputs.shape[1], NUM_UNITS), []
        for now in inputs:
            if self.leak is None:
                h = torch.tanh(self.w_rec(h) + self.w_in(now))
            else:
                h = h + self.leak * (-h + self.w_rec(torch.tanh(h)) + self.w_in(now))
            states.append(h)
        states = torch.stack(states)
        return states, self.w_out(states)


def follow(model, inputs):
    """The whole state at every step, that of all layers as fisherjax lays it out, and the outputs."""
    if isinstance(model, PyRNN):
        return model.follow(inputs)
    carry, states = None, []
    for now in inputs:
        _, carry = model.rnn(now[None], carry)
        parts = carry if isinstance(carry, tuple) else (carry,)
        states.append(torch.cat([part[layer] for layer in range(len(parts[0])) for part in parts], dim=-1))
    return torch.stack(states), model(inputs)[1]


def flip_flop(generator, trials=128, steps=40):
    """Two bits: every channel keeps the sign of its last pulse."""
    pulses = torch.randint(-1, 2, (steps, trials, NUM_INPUTS), generator=generator).float()
    inputs = pulses * (torch.rand(pulses.shape, generator=generator) < 0.2)
    targets, kept = [], torch.zeros(trials, NUM_INPUTS)
    for now in inputs:
        kept = torch.where(now != 0, now, kept)
        targets.append(kept)
    return inputs, torch.stack(targets)


def trained_flip_flop():
    """A GRU that holds two bits."""
    generator = torch.Generator().manual_seed(1)
    model = WithReadout(nn.GRU, units=10, outputs=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(1500):
        inputs, targets = flip_flop(generator)
        loss = torch.mean((model(inputs)[1] - targets) ** 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step == 1000:
            optimizer.param_groups[0]["lr"] = 1e-3
    print(f"flip-flop: mean squared error {loss.item():.4f}")
    return model


def checkpoint_of(model):
    """What training scripts save: a state_dict with names of DataParallel, among other things."""
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(5, 1, NUM_INPUTS))[1].sum().backward()
    optimizer.step()
    return {
        "epoch": 7,
        "model_state_dict": {f"module.{name}": value for name, value in model.state_dict().items()},
        "optimizer_state_dict": optimizer.state_dict(),
        "loss": torch.tensor(0.25),
        "best_loss": np.float64(0.2),
    }


def main():
    """Write all."""
    torch.manual_seed(0)
    models = {
        "rnn_tanh": WithReadout(nn.RNN),
        "rnn_relu": WithReadout(nn.RNN, nonlinearity="relu"),
        "rnn_two_layers": WithReadout(nn.RNN, num_layers=2, bias=False),
        "gru": WithReadout(nn.GRU),
        "gru_three_layers": WithReadout(nn.GRU, num_layers=3),
        "lstm": WithReadout(nn.LSTM),
        "lstm_two_layers": WithReadout(nn.LSTM, num_layers=2),
        "pyrnn": PyRNN(),
        "pyrnn_ctrnn": PyRNN(leak=5 / 100, biases=True),
        "checkpoint": WithReadout(nn.GRU),
    }
    inputs = torch.randn(50, 2, NUM_INPUTS)
    arrays = {"inputs": inputs.numpy()}
    for name, model in models.items():
        if name == "checkpoint":
            torch.save(checkpoint_of(model), HERE / f"{name}.pt")
        else:
            torch.save(model.state_dict(), HERE / f"{name}.pt")
        with torch.no_grad():
            states, outputs = follow(model, inputs)
        arrays |= {f"{name}.states": states.numpy(), f"{name}.outputs": outputs.numpy()}
    np.savez_compressed(HERE / "torch_reference.npz", **arrays)
    torch.save(trained_flip_flop().state_dict(), HERE / "flip_flop_gru.pt")


if __name__ == "__main__":
    main()
