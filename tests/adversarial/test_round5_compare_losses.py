"""Round 5: losses of popular repositories, over validation splits of 20 and of 300 samples, and odd loops around."""

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from by_hand import held, numbers
from round3 import lower
from torch import Tensor, nn

CLASSES = 3


class Net(nn.Sequential):
    def __init__(self, out: int = CLASSES) -> None:
        super().__init__(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, out))


def labelled(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    x, y = numbers(samples, seed)
    return x, (y[:, 0].abs() * 2).long() % CLASSES


def several(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    x, _ = numbers(samples, seed)
    return x, (x[:, :CLASSES] > 0).to(x)


def survival(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    x, y = numbers(samples, seed)
    return x, torch.cat((y.abs(), (x[:, :1] > -1).to(x)), 1)


def signs(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    x, y = numbers(samples, seed)
    return x, y.sign()


def counts(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    x, y = numbers(samples, seed)
    return x, y.abs().round()


def probabilities(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    x, _ = numbers(samples, seed)
    return x, (x[:, :CLASSES] * 2).softmax(1)


def written(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Labels of three letters and how many of them count."""
    x, y = numbers(samples, seed)
    letters = 1 + (x[:, :2].abs() * 3).long() % 2
    return x, torch.cat((letters, 1 + (y.abs() > 1).long()), 1)


def masks(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """A class at each of 4 places, 255 where none is told."""
    x, _ = numbers(samples, seed)
    t = (x.abs() * 3).long() % CLASSES
    t[:, 1][x[:, 1] > 0.5] = 255
    return x, t


def focal(o: Tensor, t: Tensor) -> Tensor:
    ce = F.cross_entropy(o, t, reduction="none")
    return (0.25 * (1 - torch.exp(-ce)) ** 2 * ce).mean()


def dice(o: Tensor, t: Tensor) -> Tensor:
    p = o.sigmoid()
    return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


def lovasz(o: Tensor, t: Tensor) -> Tensor:
    errors, perm = torch.sort((1 - o * (2 * t - 1)).flatten(), 0, descending=True)
    gt = t.flatten()[perm.data]
    left = gt.sum() - gt.cumsum(0)
    jaccard = 1 - left / (gt.sum() + (1 - gt).cumsum(0))
    jaccard = torch.cat((jaccard[:1], jaccard[1:] - jaccard[:-1]))
    return torch.dot(F.relu(errors), jaccard)


def cox(o: Tensor, t: Tensor) -> Tensor:
    time, event = t.unbind(1)
    order = time.argsort(descending=True)
    risk = o[order, 0]
    return -((risk - torch.logcumsumexp(risk, 0)) * event[order]).sum() / (event.sum() + 1e-8)


def concordance(o: Tensor, t: Tensor) -> Tensor:
    so, st = o.var(unbiased=False), t.var(unbiased=False)
    covariance = ((o - o.mean()) * (t - t.mean())).mean()
    return 1 - 2 * covariance / (so + st + (o.mean() - t.mean()) ** 2)


def contrastive(o: Tensor, t: Tensor) -> Tensor:
    z = F.normalize(o, dim=1)
    s = (z @ z.T / 0.5).masked_fill(torch.eye(len(z), dtype=torch.bool), -1e9)
    same = (t[:, None] == t) & ~torch.eye(len(z), dtype=torch.bool)
    log = s - s.logsumexp(1, keepdim=True)
    return -((log * same).sum(1) / same.sum(1).clamp(min=1)).mean()


def batch_hard(o: Tensor, t: Tensor) -> Tensor:
    d = torch.cdist(o, o)
    same = t[:, None] == t[None]
    return F.relu((d * same).amax(1) - d.masked_fill(same, 1e6).amin(1).clamp(max=10) + 0.3).mean()


def barlow(o: Tensor, _: Tensor) -> Tensor:
    a, b = o[:, :1].repeat(1, 2) * o[:, 1:], o[:, :2]
    a, b = ((v - v.mean(0)) / (v.std(0) + 1e-3) for v in (a, b))
    c = a.T @ b / len(o)
    return (torch.diagonal(c) - 1).square().sum() + 0.01 * (c - torch.diag(torch.diagonal(c))).square().sum()


def mixture(o: Tensor, t: Tensor) -> Tensor:
    w, mu, s = o.chunk(3, 1)
    return -torch.logsumexp(F.log_softmax(w, 1) - s - ((t - mu) / s.exp()).square() / 2, 1).mean()


def quantiles(o: Tensor, t: Tensor) -> Tensor:
    q = torch.tensor([0.1, 0.5, 0.9], dtype=o.dtype)
    e = t - o
    return torch.max((q - 1) * e, q * e).sum(1).mean()


def margin(o: Tensor, t: Tensor) -> Tensor:
    cos = F.normalize(o, dim=1).clamp(-1 + 1e-7, 1 - 1e-7)
    hot = torch.zeros_like(cos).scatter_(1, t.view(-1, 1), 1.0)
    return F.cross_entropy(8 * torch.cos(torch.acos(cos) + 0.2 * hot), t)


def hard_examples(o: Tensor, t: Tensor) -> Tensor:
    loss = F.cross_entropy(o, t, reduction="none")
    return loss[loss > loss.median()].mean()


def sorted_quantiles(o: Tensor, t: Tensor) -> Tensor:
    return (o.sort(0)[0] - t.sort(0)[0]).abs().mean()


def per_class(o: Tensor, t: Tensor) -> Tensor:
    losses = [F.cross_entropy(o[t == c], t[t == c]) for c in t.unique()]
    return torch.stack(losses).mean()


def counted_weights(o: Tensor, t: Tensor) -> Tensor:
    weight = 1 / torch.bincount(t, minlength=CLASSES).clamp(min=1)
    return F.cross_entropy(o, t, weight=weight.to(o))


def ctc(o: Tensor, t: Tensor) -> Tensor:
    log = o.view(len(o), 4, CLASSES).transpose(0, 1).log_softmax(-1)
    return F.ctc_loss(log, t[:, :2], torch.full((len(o),), 4), t[:, 2], zero_infinity=True)


def gaussian(o: Tensor, t: Tensor) -> Tensor:
    return F.gaussian_nll_loss(o[:, :1], t, F.softplus(o[:, 1:2]))


def pairs(o: Tensor, t: Tensor) -> Tensor:
    return F.cosine_embedding_loss(o, o.roll(1, 0).detach(), torch.where(t == t.roll(1), 1, -1))


def triplets(o: Tensor, t: Tensor) -> Tensor:
    return F.triplet_margin_loss(o, o.flip(0), o.roll(1, 0), swap=True) + 0.0 * t.sum()


def r_drop(o: Tensor, t: Tensor) -> Tensor:
    p, q = F.log_softmax(o, 1), F.log_softmax(o * 1.1, 1)
    return F.nll_loss(p, t) + F.kl_div(p, q, reduction="batchmean", log_target=True)


def segmented(o: Tensor, t: Tensor) -> Tensor:
    return F.cross_entropy(o.view(-1, CLASSES, 4), t, ignore_index=255)


def weighted_by_norm(o: Tensor, t: Tensor) -> Tensor:
    e = (o - t).square()
    return (e * (e.detach() / e.detach().max())).mean()


def standardized(o: Tensor, t: Tensor) -> Tensor:
    a = (t - t.mean()) / (t.std() + 1e-8)
    return -(F.log_softmax(o, 1)[:, :1] * a).mean()


def focal_in_place(o: Tensor, t: Tensor) -> Tensor:
    w = torch.ones_like(o)
    w[t > 0] *= 3
    w[(o.detach() < 0) & (t > 0)] += 1
    return (w * F.binary_cross_entropy_with_logits(o, t, reduction="none")).mean()


LOSSES: dict[str, tuple[Any, Any, int]] = {
    "focal": (labelled, focal, 3), "dice": (several, dice, 3), "lovasz": (several, lovasz, 3),
    "cox": (survival, cox, 1),
    "concordance": (numbers, concordance, 1), "supervised contrastive": (labelled, contrastive, 3),
    "batch hard": (labelled, batch_hard, 3), "barlow": (numbers, barlow, 3), "mixture": (numbers, mixture, 6),
    "quantiles": (numbers, quantiles, 3), "arcface": (labelled, margin, 3), "ohem": (labelled, hard_examples, 3),
    "wasserstein": (numbers, sorted_quantiles, 1), "per class": (labelled, per_class, 3),
    "weights by counts": (labelled, counted_weights, 3), "ctc": (written, ctc, 12), "gaussian": (numbers, gaussian, 2),
    "pairs": (labelled, pairs, 3), "triplets": (labelled, triplets, 3), "r-drop": (labelled, r_drop, 3),
    "segmented": (masks, segmented, 12), "weighted": (numbers, weighted_by_norm, 1),
    "advantages": (numbers, standardized, 2), "weights in place": (several, focal_in_place, 3),
    "poisson": (counts, nn.PoissonNLLLoss(full=True), 1), "soft margin": (signs, nn.SoftMarginLoss(), 1),
    "multi margin": (labelled, nn.MultiMarginLoss(p=2, margin=0.7), 3), "hinge": (signs, nn.HingeEmbeddingLoss(), 1),
    "multi label": (several, nn.MultiLabelSoftMarginLoss(torch.tensor([1.0, 2.0, 3.0])), 3),
    "soft classes": (probabilities, nn.CrossEntropyLoss(label_smoothing=0.1), 3),
    "divergence": (probabilities, lambda o, t: nn.KLDivLoss(reduction="batchmean")(o.log_softmax(1), t), 3),
    "smooth l1": (numbers, nn.SmoothL1Loss(beta=0.3), 1), "class weights in float32": (
        labelled, lambda o, t: nn.CrossEntropyLoss(torch.tensor([0.2, 1.0, 3.0]).to(o))(o, t), 3),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("samples", [20, 300])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_trains_as_by_hand(name: str, samples: int) -> None:
    data, loss, out = LOSSES[name]
    held(
        partial(Net, out), train=data(43, 1), validation=data(samples, 2), loss=loss,
        metric=lower(lambda o, t: o.mean()), options={"seeds": 2},
    )  # fmt: skip
