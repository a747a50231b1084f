"""Everything computes in float64 here, row state that torch keeps in its default dtype included."""

import os

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_ENABLE_X64"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"

import keras
import torch

from compile_once import share_compilations

if "PYTEST_XDIST_WORKER" in os.environ:
    share_compilations()
keras.backend.set_floatx("float64")
torch.set_default_dtype(torch.float64)
