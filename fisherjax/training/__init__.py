"""Training of networks on tasks."""

from ._angle import AngleTraining, respond_to_gratings, train_angle_network

__all__ = ["AngleTraining", "respond_to_gratings", "train_angle_network"]
