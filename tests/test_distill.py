"""Distillation: the student's workload by hand, students paired by seed, samples without labels, kept, resumed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thalweg
from problems import TinyNet, points, tiny
from thalweg.errors import Interrupted
from thalweg.records.store import Store
from thalweg.workloads.mlp import MLP

ASKED: dict[str, Any] = {"learning_rate": 1e-2, "progress": False, "teachers": 2, "seeds": 3}


@pytest.fixture(autouse=True)
def held_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one measurement that a plan depends on."""
    monkeypatch.setattr("thalweg.population.planning.backend.time_together", lambda *_: 0.0)


def teachers(count: int = 2) -> list[nn.Module]:
    made = []
    for seed in range(count):
        torch.manual_seed(seed)
        made.append(TinyNet(torch.float64))
    return made


class Student(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3, dtype=torch.float64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_the_students_loss_by_hand() -> None:
    workload, models = tiny(torch.float64), teachers()
    own = thalweg.distilled(workload, models, Student, temperature=3.0, weight=0.8)
    torch.manual_seed(0)
    student = own.model()
    batch = own.train.at(torch.arange(10))
    x, y = points(330, 1, torch.float64)
    with torch.no_grad():
        soft = np.mean([softmax(m(x[:10]).numpy() / 3) for m in models], 0)
        said = student(x[:10]).numpy()
    divergence = (soft * (np.log(soft) - np.log(softmax(said / 3)))).sum(1).mean()
    expected = 0.8 * 9 * divergence - 0.2 * np.log(softmax(said)[range(10), y[:10]]).mean()
    assert float(own.objective.loss(student, batch).detach()) == pytest.approx(expected, rel=1e-9)
    assert own.metric.name == "accuracy"
    outputs = own.objective.outputs(student, batch)
    assert own.objective.value_of(own.metric, outputs, batch.targets) == (said.argmax(1) == y[:10].numpy()).mean()


def test_comparisons_take_it_as_a_population() -> None:
    own = thalweg.distilled(tiny(torch.float64, epochs=1), teachers(), "hidden=4", temperature=2.0)
    result = thalweg.compare(own, "sgd,adam", [0.1, 0.01], seeds=2, confirm_seeds=2, progress=False)
    assert {run.execution.split(" of ")[0] for run in result.runs} == {"population"}
    assert not any(run.failure for run in result.runs)
    loss = result.runs[0].curve[-1].validation_loss
    assert loss is not None
    assert loss > 0


def test_a_perfect_student_stays_where_it_is() -> None:
    """The teacher alone teaches, and the student begins as the teacher: no loss, no step."""
    (teacher,) = teachers(1)
    own = thalweg.distilled(tiny(torch.float64), teacher, temperature=5.0, weight=1.0)
    student = TinyNet(torch.float64)
    student.load_state_dict(teacher.state_dict())
    loss = own.objective.loss(student, own.train.at(torch.arange(16)))
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)
    assert teacher.training, "the teacher that is given is not touched"


def test_hidden_labels_and_transfer_sets() -> None:
    workload = tiny(torch.float64)
    extra = points(20, 5, torch.float64)[0]
    own = thalweg.distilled(workload, teachers(), Student, labels=30, transfer=extra)
    targets = own.train.targets
    assert len(own.train) == 350
    assert int((targets != -100).sum()) == 30
    kept = targets[:330] != -100
    assert torch.equal(targets[:330][kept], workload.train.targets[kept])
    assert torch.equal(own.validation.targets, workload.validation.targets)
    assert own.total_steps == workload.total_steps
    assert torch.equal(own.train.inputs[0][330:], extra)


@pytest.fixture(scope="module")
def made() -> thalweg.Distillation:
    return thalweg.distill(tiny(torch.float64), "hidden=8", temperature=4.0, weight=0.7, **ASKED)


def test_plain_students_and_the_teacher_by_hand(made: thalweg.Distillation) -> None:
    """In plain PyTorch; the teacher's score is that of its models' mean."""
    kinds = [run.contender for run in made.runs]
    assert kinds == ["teacher"] * 2 + ["student"] * 3 + ["distilled"] * 3
    (x, y), test = points(330, 1, torch.float64), points(110, 3, torch.float64)
    torch.manual_seed(1)
    model = MLP((6, 8, 3), "he-normal").double()
    optimizer, order = torch.optim.Adam(model.parameters(), 1e-2), torch.Generator().manual_seed(1)
    for index in (i for _ in range(3) for i in torch.randperm(330, generator=order).split(16)):
        optimizer.zero_grad()
        F.cross_entropy(model(x[index]), y[index]).backward()
        optimizer.step()
    with torch.no_grad():
        assert torch.allclose(made.plain[1].model(test[0]), model(test[0]), atol=1e-8)
        mean = torch.stack([t.model(test[0]).softmax(1) for t in made.teacher]).mean(0)
        found = float((model(test[0]).argmax(1) == test[1]).double().mean())
    assert made.scores["plain"]["scores"][1] == found
    assert made.scores["teacher"] == float((mean.argmax(1) == test[1]).double().mean())


def test_distilled_students_by_hand(made: thalweg.Distillation) -> None:
    """In plain PyTorch, with the soft targets of the teacher's models."""
    x, y = points(330, 1, torch.float64)
    with torch.no_grad():
        soft = torch.stack([(t.model(x) / 4).softmax(1) for t in made.teacher]).mean(0)
    torch.manual_seed(2)
    model = MLP((6, 8, 3), "he-normal").double()
    optimizer, order = torch.optim.Adam(model.parameters(), 1e-2), torch.Generator().manual_seed(2)
    for index in (i for _ in range(3) for i in torch.randperm(330, generator=order).split(16)):
        optimizer.zero_grad()
        logits = model(x[index])
        taught = F.kl_div((logits / 4).log_softmax(1), soft[index], reduction="batchmean")
        (0.7 * 16 * taught + 0.3 * F.cross_entropy(logits, y[index])).backward()
        optimizer.step()
    with torch.no_grad():
        assert torch.allclose(made.models[2](x), model(x), atol=1e-8)


def test_the_gain_is_paired_by_seed(made: thalweg.Distillation) -> None:
    plain, distilled = made.scores["plain"], made.scores["distilled"]
    assert plain["seeds"] == distilled["seeds"] == [0, 1, 2]
    gains = [b - a for a, b in zip(plain["scores"], distilled["scores"], strict=True)]
    assert made.scores["gain"]["mean"] == pytest.approx(np.mean(gains))
    assert made.scores["gain"]["count"] == 3
    tests = {run.seed: run.test_metric for run in made.runs if run.contender == "distilled"}
    assert [*tests.values()] == distilled["scores"]
    assert made.scores["parameters"] == {"teacher": 163, "student": 83, "distilled": 83}


def test_kept_resumed_and_reported(made: thalweg.Distillation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workload, add, count = tiny(torch.float64), Store.add, iter(range(20))
    asked = {"student": "hidden=8", "temperature": 4.0, "weight": 0.7, **ASKED}

    def some(self: Store, *args: Any) -> None:
        if next(count) >= 2:
            raise KeyboardInterrupt
        add(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "add", some)
        with pytest.raises(Interrupted):
            thalweg.distill(workload, out=tmp_path, **asked)
    assert 0 < len(thalweg.Studies(tmp_path).open().runs) < 8
    again = thalweg.resume(tmp_path, workload=workload, progress=False)
    assert again.verdict == made.verdict
    for a, b in zip(again.models, made.models, strict=True):
        assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    facts = thalweg.Studies(tmp_path).open().facts()
    assert json.loads(json.dumps(facts, allow_nan=False))["findings"]["gain"] == made.scores["gain"]
    assert "The distilled student" in thalweg.Studies(tmp_path).report().read_text("utf-8")
    again.save(tmp_path / "models-out")
    assert (tmp_path / "models-out" / "distilled-2.safetensors").exists()


def test_a_teacher_that_is_given() -> None:
    found = thalweg.distill(tiny(torch.float64, epochs=1), Student, teacher=teachers(), learning_rate=1e-2, seeds=2,
                            labels=50, progress=False)  # fmt: skip
    assert [run.contender for run in found.runs] == ["student"] * 2 + ["distilled"] * 2
    assert found.teacher == ()
    assert found.scores["labels"] == 50


FILE = """
import torch
from torch import nn

def teacher():
    torch.manual_seed(3)
    return [nn.Linear(6, 3).double(), nn.Linear(6, 3).double()]

more = torch.ones(20, 6, dtype=torch.float64)
"""


def numbers(found: thalweg.Distillation) -> list[Any]:
    return [found.scores[name] for name in ("teacher", "plain", "distilled", "gain", "transfer")]


def test_teachers_and_transfer_sets_by_text(tmp_path: Path) -> None:
    """As on the command line; an interrupted study finds them again, and refuses others."""
    (tmp_path / "mine.py").write_text(FILE)
    names: dict[str, Any] = {}
    exec(FILE, names)
    np.save(tmp_path / "more.npy", names["more"].numpy())
    workload, asked = tiny(torch.float64, epochs=1), {"learning_rate": 1e-2, "seeds": 2, "progress": False}
    own = thalweg.distill(workload, Student, teacher=names["teacher"](), transfer=names["more"], **asked)
    texts = {"teacher": f"{tmp_path}/mine.py:teacher", "transfer": f"{tmp_path}/mine.py:more"}
    out = tmp_path / "out"
    assert numbers(thalweg.distill(workload, Student, **texts, **asked)) == numbers(own)
    texts["transfer"] = str(tmp_path / "more.npy")
    assert numbers(thalweg.distill(workload, Student, **texts, **asked)) == numbers(own)
    first = thalweg.distill(workload, "hidden=4", **texts, out=out, **asked)
    assert numbers(thalweg.resume(out, workload=workload, progress=False)) == numbers(first)
    np.save(tmp_path / "more.npy", 2 * names["more"].numpy())
    with pytest.raises(thalweg.InputError, match="The teacher or the transfer set changed since the study was begun"):
        thalweg.resume(out, workload=workload, progress=False)


def test_a_teacher_that_answers_otherwise_is_another(tmp_path: Path) -> None:
    """Its weights are the same."""
    text = FILE.replace(
        "[nn.Linear(6, 3).double(), nn.Linear(6, 3).double()]", "nn.Sequential(nn.Linear(6, 3), ACT()).double()"
    )
    (tmp_path / "mine.py").write_text(text + "ACT = nn.ReLU\n")
    workload, asked = tiny(torch.float64, epochs=1), {"learning_rate": 1e-2, "seeds": 2, "progress": False}
    thalweg.distill(workload, "hidden=4", teacher=f"{tmp_path}/mine.py:teacher", out=tmp_path / "out", **asked)
    (tmp_path / "mine.py").write_text(text + "ACT = nn.Tanh\n")
    with pytest.raises(thalweg.InputError, match="The teacher or the transfer set changed"):
        thalweg.resume(tmp_path / "out", workload=workload, progress=False)


def test_a_teacher_that_cannot_answer_leaves_no_study_behind(tmp_path: Path) -> None:
    nan = nn.Linear(6, 3)
    nn.init.constant_(nan.weight, torch.nan)
    several = {
        nn.Linear(5, 3): "The teacher cannot answer for samples of the workload: mat1 and mat2 shapes",
        nn.Linear(6, 2): "The teacher answers for 2 classes, and labels go up to 2",
        nan: "The teacher's logits are not all finite",
    }
    for teacher, said in several.items():
        with pytest.raises(thalweg.InputError, match=said):
            thalweg.distill(tiny(), teacher=teacher, seeds=1, out=tmp_path, progress=False)
    assert not (tmp_path / "study.sqlite").exists() or not thalweg.Studies(tmp_path).list()
    with pytest.raises(thalweg.InputError, match="The teacher cannot answer for samples of the workload"):
        thalweg.distilled(tiny(), lambda x: None)


def test_a_teacher_in_a_directory(tmp_path: Path) -> None:
    workload = tiny(torch.float64, epochs=1)
    ensemble = thalweg.ensemble(workload, 2, learning_rate=1e-2, progress=False)
    ensemble.save(tmp_path / "models")
    asked = {"learning_rate": 1e-2, "seeds": 2, "progress": False}
    ours = thalweg.distill(workload, "hidden=4", teacher=tmp_path / "models", **asked)
    assert numbers(ours) == numbers(thalweg.distill(workload, "hidden=4", teacher=ensemble, **asked))
    with pytest.raises(thalweg.InputError, match="The weights are of another model"):
        thalweg.distill(tiny(torch.float64, model=Student), teacher=tmp_path / "models", **asked)
    with pytest.raises(thalweg.InputError, match="holds models of 'tiny', and the workload is 'other'"):
        thalweg.distill(replace(workload, name="other"), teacher=tmp_path / "models", **asked)


def test_objects_cannot_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workload = tiny(torch.float64, epochs=1)
    thalweg.distill(workload, Student, out=tmp_path, **{**ASKED, "teachers": 1})
    with pytest.raises(thalweg.InputError, match="given a student of your own, which no store keeps"):
        thalweg.resume(tmp_path, workload=workload, progress=False)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"temperature": 0}, "temperature must be a positive finite number"),
        ({"weight": 1.5}, "weight must be a finite number from 0 to 1, got 1.5"),
        ({"student": "hiden=5"}, 'student must be "hidden=50"'),
        ({"student": "hidden=0"}, "at least one unit"),
        ({"student": nn.Linear(6, 3)}, "a function that returns a new nn.Module"),
        ({"labels": 331}, "labels must be at most the 330 samples of train, got 331"),
        ({"teacher": [1]}, "teacher must be an Ensemble, a model or a list of models"),
        ({"teacher": "models"}, "teacher must be an Ensemble, a model or a list of models, a directory of"),
        ({"teacher": "/tmp"}, r"/tmp holds no ensemble: give a directory that thalweg ensemble --save wrote\."),
        ({"teacher": "none.py:teacher"}, "The file 'none.py' does not exist"),
        ({"transfer": torch.zeros(4, 6, dtype=torch.complex64)}, "transfer holds complex numbers, and train float32"),
        ({"transfer": np.float32(3)}, "transfer must be samples as train has them, at least one, got"),
        ({"transfer": torch.zeros(0, 6)}, "transfer must be samples as train has them, at least one"),
        ({"transfer": 5}, "transfer must be samples as train has them, at least one, got int"),
        ({"transfer": "none.npy"}, "transfer cannot be read from none.npy"),
        ({"transfer": "none"}, "transfer must be samples, a .npy file or my_file.py:name"),
        ({"transfer": torch.zeros(4, 7)}, r"transfer must be \[samples, 6\] as train is, got \[4, 7\]"),
        ({"seeds": 0}, "seeds must be a whole number from 1 to 1,000"),
    ],
)
def test_refused(asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(thalweg.InputError, match=sentence):
        thalweg.distill(tiny(epochs=1), **{**ASKED, "teachers": 1, "seeds": 1, **asked})


def test_other_problems_are_refused() -> None:
    x, y = points(16, 1, torch.float32)
    line = thalweg.Workload(name="line", model=lambda: nn.Linear(6, 1), train=(x, y.float()[:, None]),
                            validation=(x, y.float()[:, None]), loss=F.mse_loss)  # fmt: skip
    for asked in (lambda: thalweg.distill(line, **ASKED), lambda: thalweg.distilled(line, nn.Linear(6, 3))):
        with pytest.raises(thalweg.InputError, match="Distillation is of classes"):
            asked()


def test_a_saved_teacher_has_the_arguments_that_its_models_were_made_with(tmp_path: Path) -> None:
    """Weights alone fit a model of another activation, too."""
    whole = tiny(
        torch.float64, epochs=1, model=lambda activation="relu": MLP((6, 8, 3), activation=activation).double()
    )
    contender = thalweg.Contender("adam", model={"activation": "tanh"})
    ensemble = thalweg.ensemble(whole, 2, optimizer=contender, learning_rate=1e-2, progress=False)
    ensemble.save(tmp_path)
    asked = {"learning_rate": 1e-2, "seeds": 1, "progress": False}
    ours = thalweg.distill(whole, "hidden=4", teacher=tmp_path, **asked)
    assert ours.scores["teacher"] == thalweg.distill(whole, "hidden=4", teacher=ensemble, **asked).scores["teacher"]
