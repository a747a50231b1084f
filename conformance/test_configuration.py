"""LightningCLI and Hydra configure every class from text."""

import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import thalweg.optim
from thalweg.optim.classes import drop_ins

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import hydra
    import lightning
    import omegaconf
    from lightning.pytorch.cli import LightningCLI

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not ours to mind
every_class = pytest.mark.parametrize("name", drop_ins())


class Module(lightning.LightningModule):
    def __init__(self, width: int = 3):
        super().__init__()
        self.layer = nn.Linear(width, 1)

    def training_step(self, batch, _):
        return self.layer(batch[0]).square().mean()

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(8, 3)), batch_size=4)


def by_cli(folder, *arguments, run=False, config=None):
    quiet = {
        "accelerator": "cpu", "max_epochs": 1, "logger": False, "enable_checkpointing": False,
        "enable_progress_bar": False, "enable_model_summary": False, "default_root_dir": str(folder),
    }  # fmt: skip
    if config:
        (folder / "config.yaml").write_text(config)
        arguments = [f"--config={folder / 'config.yaml'}", *arguments]
    if run:
        arguments = ["fit", *arguments]
    return LightningCLI(Module, trainer_defaults=quiet, save_config_callback=None, run=run, args=[*arguments])


def optimizer_of(cli):
    found = cli.model.configure_optimizers()
    return found[0][0] if isinstance(found, tuple) else found


@every_class
def test_lightning_cli(name, tmp_path):
    cli = by_cli(tmp_path, f"--optimizer=thalweg.optim.{name}", "--optimizer.lr=0.25", "--optimizer.cautious=true")
    optimizer = optimizer_of(cli)
    assert type(optimizer) is getattr(thalweg.optim, name)
    plain = type(optimizer)([torch.zeros(1)], lr=0.25, cautious=True)
    assert optimizer.defaults == plain.defaults


@every_class
def test_lightning_cli_refuses_what_the_class_does_not_have(name, tmp_path, capsys):
    for wrong in ("--optimizer.learning_rates=0.1", "--optimizer.lr=fast", "--optimizer.cautious=3"):
        with pytest.raises(SystemExit):
            by_cli(tmp_path, f"--optimizer=thalweg.optim.{name}", wrong)
    assert "error" in capsys.readouterr().err


def test_lightning_cli_trains_by_a_file(tmp_path):
    config = """
optimizer:
  class_path: thalweg.optim.AdamW
  init_args:
    lr: 0.05
    betas: [0.8, 0.95]
    lookahead_steps: 2
    state_dtype: bfloat16
    convention: keras
lr_scheduler:
  class_path: torch.optim.lr_scheduler.ExponentialLR
  init_args:
    gamma: 0.5
"""
    cli = by_cli(tmp_path, run=True, config=config)
    (optimizer,) = cli.trainer.optimizers
    (group,) = optimizer.param_groups
    assert type(optimizer) is thalweg.optim.AdamW
    assert (group["betas"], group["lookahead_steps"], group["convention"]) == ((0.8, 0.95), 2, "keras")
    assert group["lr"] == pytest.approx(0.025)
    assert optimizer.state[group["params"][0]]["exp_avg"].dtype == torch.bfloat16


@every_class
def test_hydra(name):
    config = omegaconf.OmegaConf.create({"_target_": f"thalweg.optim.{name}", "lr": 0.25, "clip_value": 0.5})
    p = nn.Parameter(torch.ones(2))
    optimizer = hydra.utils.instantiate(config, params=[p])
    assert type(optimizer) is getattr(thalweg.optim, name)
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["clip_value"]) == (0.25, 0.5)
    assert optimizer.defaults == type(optimizer)([p], lr=0.25, clip_value=0.5).defaults


def test_hydra_completes_a_partial_one():
    config = omegaconf.OmegaConf.create({"_target_": "thalweg.optim.SGD", "_partial_": True, "momentum": 0.9})
    make = hydra.utils.instantiate(config)
    assert make([nn.Parameter(torch.ones(1))], lr=0.5).defaults["momentum"] == 0.9


def test_hydra_says_what_does_not_exist():
    config = omegaconf.OmegaConf.create({"_target_": "thalweg.optim.Adam", "learning_rates": 0.1})
    with pytest.raises(hydra.errors.InstantiationException, match="Adam has no hyperparameter 'learning_rates'"):
        hydra.utils.instantiate(config, params=[nn.Parameter(torch.ones(1))])


@pytest.mark.parametrize("whole", [True, False])
def test_hydra_hands_over_its_own_lists(whole):
    """OmegaConf's lists are no tuples; `_convert_` makes lists of them."""
    given = {"_target_": "thalweg.optim.Adam", "betas": [0.8, 0.95]} | ({"_convert_": "all"} if whole else {})
    optimizer = hydra.utils.instantiate(omegaconf.OmegaConf.create(given), params=[nn.Parameter(torch.ones(1))])
    p = optimizer.param_groups[0]["params"][0]
    p.grad = torch.ones(1)
    optimizer.step()
    assert optimizer.state[p]["exp_avg"].item() == pytest.approx(0.2)
