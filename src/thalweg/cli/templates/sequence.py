"""A classifier of sequences of your own: which optimizer, and at which learning rate?

    thalweg compare FILE                          # all common optimizers, in half a minute
    thalweg compare FILE --optimizers "adam,sgd"  # those that you name; `thalweg optimizers` lists all
    thalweg compare FILE --budget 1min            # fitted into that time, whatever the problem takes

It runs as it is. Replace what is marked with TODO, one thing after the other, and run it again.
"""

import torch
from torch import Tensor, nn

import thalweg

VOCABULARY, LONGEST = 12, 12


def data(samples: int = 1000) -> dict[str, Tensor]:
    """Returns what the model takes, by the names of its arguments, and the targets as `labels`."""
    # TODO: your sequences, padded to one length. Of a tokenizer, input_ids, attention_mask and labels fit.
    random = torch.Generator().manual_seed(0)  # the same data in every study, or they would not compare
    tokens = torch.randint(VOCABULARY, (samples, LONGEST), generator=random)
    lengths = torch.randint(LONGEST // 2, LONGEST + 1, (samples, 1), generator=random)
    mask = torch.arange(LONGEST) < lengths  # True for a token, False for padding
    labels = ((tokens < VOCABULARY // 2) & mask).sum(1) * 2 > lengths[:, 0]  # are most tokens of the first half?
    return {"tokens": tokens, "mask": mask, "labels": labels.long()}


class SequenceClassifier(nn.Module):
    """Tokens `[samples, length]` and their mask of the same shape → `[samples, classes]`: one layer of attention."""

    # TODO: your model. The arguments of `forward` are called as the data are.

    def __init__(self, width: int = 16, classes: int = 2) -> None:
        super().__init__()
        self.embedding, self.places = nn.Embedding(VOCABULARY, width), nn.Embedding(LONGEST, width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.places.weight
        scores = self.query(x) @ self.key(x).mT / x.shape[-1] ** 0.5
        weights = scores.masked_fill(mask.unsqueeze(1) == 0, -torch.inf).softmax(-1)  # nobody attends to padding
        x = self.norm(x + weights @ self.value(x))
        mean = (x * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)  # nor does it count here
        outputs: Tensor = self.head(mean)
        return outputs


workload = thalweg.Workload(
    name="my sequences",  # TODO: how reports call it
    model=SequenceClassifier,
    train=data(),
    validation=0.2,  # a share of train, or a dict of its own: optimizers are tuned and chosen by it
    test=0.2,  # read only once, after all choices
    loss=nn.CrossEntropyLoss(),  # or a function of (outputs, targets)
    metric="accuracy",  # or "f1", "perplexity", a function of sklearn.metrics, thalweg.Metric(your_function, …)
    batch_size=32,
    epochs=5,  # TODO: as long as you train; the best learning rate depends on it
    target=0.9,  # the metric's value that is good enough: reports say how soon each optimizer is there; or None
    parameters=thalweg.optim.undecayed,  # no weight decay for biases and norms; leave it out to decay all
)

if __name__ == "__main__":  # the same from Python: `python FILE`
    print(thalweg.compare(workload, optimizers=["adam", "sgd"], budget="1min").verdict)
