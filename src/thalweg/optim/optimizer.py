"""The one `torch.optim.Optimizer` behind every class of `thalweg.optim`, and its one `step`."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.execution import dispatch
from thalweg.execution.data_pointers import has_memory
from thalweg.execution.gpu.passes import refuse_from_the_cpu
from thalweg.optim.group_keys import check_keys, require_group
from thalweg.optim.interop.default_device import on_cpu_by_default
from thalweg.optim.interop.loss_scaling import Finer, unscale
from thalweg.optim.interop.precision import Precision, check
from thalweg.optim.interop.signature import CONVENTION, bind, class_name, group_defaults, hyperparameters
from thalweg.optim.interop.torch_hooks import stepping
from thalweg.optim.state import state as states
from thalweg.optim.state.averages import swapped
from thalweg.optim.state.checkpoints import matched, require_checkpoint
from thalweg.optim.state.loading import restored
from thalweg.optim.stepping import traceable
from thalweg.optim.stepping.capturable import Kernels
from thalweg.optim.stepping.diagnostics import SilentFailures, tell_coupled_decay
from thalweg.optim.stepping.param_group import OptimizerStep
from thalweg.optim.stepping.reading import kept, plain
from thalweg.options.declared import CONVENTIONS
from thalweg.recipes.catalogue import Recipe
from thalweg.rules.states import PARAMETER


class Optimizer(torch.optim.Optimizer):
    """A rule of the catalogue with torch's interface. Use its subclasses, such as `thalweg.optim.Adam`.

    Args:
        params: parameters, named parameters, or param groups (dicts) with their own hyperparameters.
        others: torch's, by torch's names and defaults. `foreach` and `fused` are accepted and without effect.
            `capturable` makes the step of tensor operations alone, as CUDA graphs need it (its count of steps stays at
            2**24 from there on, as torch's does); `differentiable` lets autograd follow it, through parameters that are
            no leaves. `rounding`, `rounding_seed` and `state_dtype` say what is held in how many bits (`help(Adam)` has
            each).
        convention: whose formula and defaults to follow, of `"torch"`, `"keras"`, `"optax"` and `"paper"` those that
            have the optimizer; the names of arguments stay torch's (`thalweg.optim.translate` knows the others').

    Raises:
        InputError: a hyperparameter that does not exist, is out of its range, or is NaN.
    """

    recipe: ClassVar[Recipe]

    def __init__(self, params: Iterable[Any], *args: Any, **kwargs: Any) -> None:
        if not hasattr(self, "recipe"):
            raise InputError("thalweg.optim.Optimizer is what its classes share; make one of them, such as Adam.")
        defaults = bind(self.recipe, args, kwargs)
        super().__init__(params, kept(self.recipe, defaults))
        self._take_scale_where_fused()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters with hyperparameters of their own, in a dict that becomes the group.

        Raises `InputError` as the constructor does.
        """
        require_group(self.recipe, param_group)
        check_keys(self.recipe, self.defaults, param_group)
        self._refuse_another_convention([param_group])
        own = kept(self.recipe, {key: value for key, value in param_group.items() if key in self.defaults})
        param_group.update({**own, **self._checked(self.defaults | own)})
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        self._require_dense(group)
        tell_coupled_decay(self._recipe, group)
        _set_initial(self.recipe, group)
        if any(s.source and s.initial != self.recipe.rate for s in self.recipe.rule.states):
            needs = self._needs(group, len(self.param_groups) - 1)
            if not any(s.initial == PARAMETER for s in needs.structure.states):  # whose values may still change
                with on_cpu_by_default():
                    needs.create(self.state, group["params"])  # as torch's Adagrad; a rate may change before a step

    def _require_dense(self, group: Mapping[str, Any]) -> None:
        """Takes the newest group back where a parameter has no plain memory."""
        layouts = [p.layout for p in group["params"] if p.layout != torch.strided]
        if layouts:
            self.param_groups.pop()
            raise InputError(f"{class_name(self.recipe)} steps dense parameters, got one with layout {layouts[0]}.")

    @stepping
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every parameter that has a gradient; returns what `closure`, if given, returns."""
        if "_swapped" in self.__dict__:
            raise InputError(f"{class_name(self.recipe)} cannot step within averaged_weights(), which holds averages.")
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self._is_template():
            with undecayed_groups(self.param_groups):
                self._step()
        else:
            self._step()
        return loss

    def _step(self) -> None:
        try:
            if self._on_tensors():
                with torch.no_grad(), on_cpu_by_default():
                    self._step_on_tensors()
            elif not self._overflowed():
                self._step_in_passes()
        except BaseException:
            for of_scaler in ("grad_scale", "found_inf"):  # which a `GradScaler` takes back after a whole step only
                self.__dict__.pop(of_scaler, None)
            raise

    def _step_in_passes(self) -> None:
        """Tells of failures that say nothing, too."""
        own = self.__dict__
        watch, updates = own.get("_watch"), own.get("_updates")  # no part of what is pickled or copied
        if watch is None or updates is None:
            watch = own.setdefault("_watch", SilentFailures(self._recipe))
            updates = own.setdefault("_updates", OptimizerStep(self._recipe))
        if not watch.done:
            for p in (p for group in self.param_groups for p in group["params"]):
                refuse_from_the_cpu(p.device)
        updates.step(self.param_groups, self.state, watch, self._unscaling())

    def _is_template(self) -> bool:
        """Whether torch asks for a state dict's template: by a step with a rate of 0, gradients of 0 and no state yet.

        It is a step like another, but for weight decay that acts whatever the rate is: it would at each such call.
        """
        if next(iter(self.state.values()), None):
            return False
        signs = any(s.initial == self.recipe.rate and not s.per_row for s in self.recipe.rule.states)  # steps by itself
        decayed = any(g["weight_decay"] and (signs or g["independent_weight_decay"]) for g in self.param_groups)
        if not decayed or any(self.state.values()) or not all(map(self._rests, self.param_groups)):
            return False
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        return not dispatch.watched() and all(has_memory(g) and not g.any() for g in gradients)

    def _rests(self, group: Mapping[str, Any]) -> bool:
        """Whether the learning rate is 0, where that is known without waiting for a device."""
        rate = group.get(self.recipe.rate) if self.recipe.rate else None
        return rate is not None and (not isinstance(rate, Tensor) or rate.is_cpu) and plain(rate) == 0

    def _needs(self, group: Mapping[str, Any], number: int) -> states.Needs:
        values = self._recipe.resolve(hyperparameters(self._recipe, group), class_name(self.recipe))
        return states.Needs(self._recipe.structure(values), values, Precision.of(group, number))

    def _step_on_tensors(self) -> None:
        kernels = self.__dict__.setdefault("_kernels", defaultdict(Kernels))  # like `_updates`
        unscaled, found_inf = self._unscaling(), self.__dict__.get("found_inf")
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            traceable.update(self._recipe, self.param_groups, self.state, kernels, unscaled, found_inf)

    @property
    def _recipe(self) -> Recipe:
        """By the convention that this optimizer follows."""
        return self.recipe.under(self.defaults.get(CONVENTION, CONVENTIONS[0]))

    def _take_scale_where_fused(self) -> None:
        """Has a `torch.amp.GradScaler` hand its scale over, which it does where it finds this attribute."""
        if self.defaults.get("fused"):
            self._step_supports_amp_scaling = True

    def _unscaling(self) -> Callable[[], Finer] | None:
        """What is done to gradients of a loss that a `GradScaler` has scaled; `None` for others."""
        scale = self.__dict__.get("grad_scale")
        return None if scale is None else lambda: unscale(self.param_groups, scale)

    def _overflowed(self) -> bool:
        """Whether a `GradScaler` has found a gradient that is not finite, so that this step is left out."""
        found = self.__dict__.get("found_inf")
        return found is not None and bool(found)

    def _on_tensors(self) -> bool:
        """Whether a step is to be operations on tensors alone: as asked, or since a mode of torch's follows them."""
        watched = dispatch.watched()
        if watched and torch.compiler.is_exporting():
            raise InputError(
                f"{class_name(self.recipe)} cannot step within torch.export, which leaves updates in place out of its"
                " program; export the model, and step outside of it."
            )
        for of in (self.defaults, *self.param_groups):
            if of.get("capturable") or of.get("differentiable"):
                return True
        return watched and not any(map(_has_sparse_gradients, self.param_groups))

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Within it, the parameters hold their averages, to evaluate by or to save: `ema_decay`'s, or schedule-free's.

        Afterwards they are the trained ones again, bit for bit. A step within it is refused. What a model measures in
        training beside its parameters, such as batch norm's statistics, belongs to the trained ones and stays.

            with optimizer.averaged_weights():
                evaluate(model)
        """
        if "_swapped" in self.__dict__:  # within another, they hold their averages already
            yield
            return
        with swapped(self.recipe, self.param_groups, self.state):
            self.__dict__["_swapped"] = True
            try:
                yield
            finally:
                self.__dict__.pop("_swapped", None)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in group_defaults(self.recipe).items():
                group.setdefault(name, value)
            _set_initial(self.recipe, group)
        self.__dict__.pop("_updates", None)  # which holds on to earlier state
        if "defaults" in state:  # a copy, or from a pickle
            self._take_scale_where_fused()
        with on_cpu_by_default():
            states.adopt(self.recipe, self.state)

    def state_dict(self) -> dict[str, Any]:
        """As torch's, with plain numbers for NumPy's, so that `torch.load` reads it with `weights_only=True`."""
        for group in self.param_groups:
            group.update({key: value.item() for key, value in group.items() if isinstance(value, np.generic)})
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads a checkpoint of this class or of torch's of the same name.

        Parameters are matched by name where both have names (`model.named_parameters()`; what DDP, FSDP and
        `torch.compile` put before them is seen through), else by their order. State is copied into the dtype that this
        optimizer makes and the layout of the parameter; what others keep in it, and in groups, is copied as it is.

        Raises `InputError` where it was trained under another convention, or is not of these parameters.
        """
        seen: dict[str, Any] = {}

        def match(_: torch.optim.Optimizer, given: dict[str, Any]) -> dict[str, Any]:
            require_checkpoint(given)
            torchs = {CONVENTION: self.recipe.convention}  # what a checkpoint that says nothing follows
            self._refuse_another_convention([{**torchs, **group} for group in given["param_groups"]])
            seen.update(matched(self.recipe, self.param_groups, given))
            return seen

        def restore(_: torch.optim.Optimizer) -> None:
            for number, (group, saved) in enumerate(zip(self.param_groups, seen["param_groups"], strict=True)):
                precision, to_device = Precision.of(group, number), bool(group.get("capturable"))
                for p, index in zip(group["params"], saved["params"], strict=True):
                    if index in seen["state"]:
                        given = seen["state"][index]
                        self.state[p] = restored(self.recipe, given, p, precision, to_device=to_device)

        hooks = (  # after its user's own that change what is given, and before those that look at what is loaded
            self.register_load_state_dict_pre_hook(match),
            self.register_load_state_dict_post_hook(restore, prepend=True),
        )
        try:
            super().load_state_dict(state_dict)
        finally:
            for hook in hooks:
                hook.remove()

    def share_memory(self) -> None:
        """Moves the state that there is into memory that processes share, as torch's Adagrad does."""
        for state in self.state.values():
            for value in state.values():
                if isinstance(value, Tensor):
                    value.share_memory_()  # type: ignore[no-untyped-call]

    def _refuse_another_convention(self, groups: Iterable[Mapping[str, Any]]) -> None:
        own = self.defaults.get(CONVENTION, CONVENTIONS[0])
        other = next((g[CONVENTION] for g in groups if g.get(CONVENTION, own) != own), None)
        if other is not None:
            raise InputError(
                f"This {class_name(self.recipe)} follows the convention {own!r} and cannot take over a group that"
                f" follows {other!r}; make an optimizer with convention={other!r} for it."
            )

    def _checked(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """What a group says of precision, as it is kept. Raises `InputError` for anything wrong in the group."""
        recipe = self.recipe.under(group.get(CONVENTION, CONVENTIONS[0]))
        recipe.resolve(hyperparameters(recipe, group), class_name(recipe))
        other = (
            "state_dtype='8bit'" if group.get("state_dtype") == "8bit" else "fused=True" if group.get("fused") else ""
        )
        if group.get("differentiable") and other:
            raise InputError(f"{class_name(recipe)}: differentiable=True and {other} do not go together; keep one.")
        return check(class_name(recipe), group)


@contextmanager
def undecayed_groups(groups: Iterable[dict[str, Any]]) -> Iterator[None]:
    """Within it, no group decays weights; afterwards as before."""
    before = [(group, group["weight_decay"]) for group in groups]
    try:
        for group, _ in before:
            group["weight_decay"] = 0.0
        yield
    finally:
        for group, decay in before:
            group["weight_decay"] = decay


def _has_sparse_gradients(group: Mapping[str, Any]) -> bool:
    return any(p.grad is not None and p.grad.is_sparse for p in group["params"])


def _set_initial(recipe: Recipe, group: dict[str, Any]) -> None:
    for h in recipe.hyperparameters.values():
        if h.initially:
            group.setdefault(h.name, float(plain(group.get(f"initial_{h.initially}", group[h.initially]))))
