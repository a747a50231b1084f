"""The `torch.optim.Optimizer` subclass behind every class of `thalweg.optim`, with the only `step`."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.execution import dispatch
from thalweg.execution.gpu.passes import refuse_from_the_cpu
from thalweg.optim.group_keys import adopted, check_keys, require_group
from thalweg.optim.interop import momentum
from thalweg.optim.interop.default_device import on_cpu_by_default
from thalweg.optim.interop.loss_scaling import Finer, unscale
from thalweg.optim.interop.precision import Precision, check
from thalweg.optim.interop.signature import CONVENTION, bind, class_name, group_defaults, hyperparameters
from thalweg.optim.interop.sparse import has_sparse_gradients
from thalweg.optim.interop.torch_hooks import stepping
from thalweg.optim.state import state as states
from thalweg.optim.state.averages import swapped
from thalweg.optim.state.checkpoints import matched, require_checkpoint
from thalweg.optim.state.loading import restored
from thalweg.optim.stepping import model_rules, schedule_checkpoints, scheduling, traceable, values_ahead
from thalweg.optim.stepping.capturable import Kernels
from thalweg.optim.stepping.diagnostics import SilentFailures, tell_coupled_decay
from thalweg.optim.stepping.param_group import OptimizerStep
from thalweg.optim.stepping.reading import kept
from thalweg.optim.stepping.template import decay_again, is_asked_for, undecayed
from thalweg.options.declared import CONVENTIONS
from thalweg.recipes.catalogue import Recipe
from thalweg.rules.states import PARAMETER


class Optimizer(torch.optim.Optimizer):
    """A rule of the catalogue with torch's interface. Use its subclasses, such as `thalweg.optim.Adam`.

    Args:
        params: parameters, named parameters, or param groups (dicts) with their own hyperparameters.
        others: torch's, by torch's names and defaults. `foreach` and `fused` are accepted and without effect.
            A number may be a schedule (`thalweg.schedules`) or a function of the step: its values stand in the groups,
            and setting one there by hand ends it.
            `capturable` makes the step pure tensor operations, as CUDA graphs need it (its step count stops at 2**24,
            as torch's does); `differentiable` lets autograd differentiate it, through parameters that are no leaves.
            `rounding`, `rounding_seed`, `state_dtype` set the precision of parameters and states (see `help(Adam)`).
        convention: whose formula and defaults to follow: `"torch"`, `"keras"`, `"optax"` or `"paper"`, if it has the
            optimizer. Argument names stay torch's (`thalweg.optim.translate` converts the others').

    Raises:
        InputError: a hyperparameter that does not exist, is out of its range, or is NaN.
    """

    recipe: ClassVar[Recipe]

    def __init__(self, params: Iterable[Any], *args: Any, **kwargs: Any) -> None:
        if not hasattr(self, "recipe"):
            raise InputError("thalweg.optim.Optimizer is what its classes share; make one of them, such as Adam.")
        defaults = kept(self.recipe, bind(self.recipe, args, kwargs))
        super().__init__(params, momentum.of_schedulers(self.recipe, defaults))
        self._take_scale_where_fused()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds parameters with their own hyperparameters. The dict itself becomes the group.

        Raises `InputError` as the constructor does.
        """
        require_group(self.recipe, param_group)
        if (own := adopted(self.recipe, param_group)) is not param_group:
            param_group.clear()
            param_group.update(own)
        check_keys(self.recipe, self.defaults, param_group)
        self._refuse_another_convention([param_group])
        defaults = {**self.defaults}
        own = kept(self.recipe, {key: value for key, value in param_group.items() if key in defaults})
        param_group.update({**own, **self._checked(defaults | own)})
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            self._require_dense(group)
            scheduling.begin(self.recipe, group)
        except InputError:
            self.param_groups.pop()
            raise
        momentum.begin(self.recipe, group)
        tell_coupled_decay(self._recipe, group)
        scheduling.set_initial(self.recipe, group)
        if any(s.source and s.initial != self.recipe.rate for s in self.recipe.rule.states):
            needs = self._needs(group, len(self.param_groups) - 1)
            if not any(s.initial == PARAMETER for s in needs.structure.states):  # parameters may still change
                with on_cpu_by_default():
                    needs.create(self.state, group["params"])  # as torch's Adagrad; a rate may change before a step

    def _require_dense(self, group: Mapping[str, Any]) -> None:
        """Raises `InputError` where a parameter is not strided."""
        layouts = [p.layout for p in group["params"] if p.layout != torch.strided]
        if layouts:
            raise InputError(f"{class_name(self.recipe)} steps dense parameters, got one with layout {layouts[0]}.")

    @stepping
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every parameter that has a gradient; returns what `closure`, if given, returns."""
        if "_swapped" in self.__dict__:
            raise InputError(f"{class_name(self.recipe)} cannot step within averaged_weights(), which holds averages.")
        template = is_asked_for(self.recipe, self.param_groups, self.state)
        decays = undecayed(self.param_groups) if template else None
        try:
            loss = None if template else model_rules.loss(self.recipe, self.param_groups, closure)
            scheduled = [] if template else self._scheduled()
            if on_tensors := self._on_tensors(watched := dispatch.watched()):
                self._step_on_tensors()
            elif not self._overflowed():
                updates, watch = self._in_passes()
                updates.step(self.param_groups, self.state, watch, self._unscaling(), watched=watched)
        except BaseException:
            for of_scaler in ("grad_scale", "found_inf"):  # a `GradScaler` removes them only after a complete step
                self.__dict__.pop(of_scaler, None)
            raise
        finally:
            if decays is not None:
                decay_again(self.param_groups, decays)
        if scheduled and (on_tensors or not self._overflowed()):
            for group in scheduled:
                scheduling.advance(self.recipe, group, found_inf=self.__dict__.get("found_inf"))
        return loss

    def _scheduled(self) -> list[dict[str, Any]]:
        """The groups with schedules, their values checked. What was written into any since the last step holds."""
        if self.defaults.get(momentum.KEY, 0.0) is None:  # called otherwise
            momentum.sync(self.recipe, self.param_groups)
        found = []
        for group in self.param_groups:
            if values_ahead.SCHEDULES in group:
                scheduling.begin_step(self.recipe, group)
                found.append(group)
        return found

    def _in_passes(self) -> tuple[OptimizerStep, SilentFailures]:
        """The steps in compiled passes, and their warnings, both created at the first; neither is pickled or copied."""
        own = self.__dict__
        watch, updates = own.get("_watch"), own.get("_updates")
        if watch is None or updates is None:
            watch = own.setdefault("_watch", SilentFailures(self._recipe))
            updates = own.setdefault("_updates", OptimizerStep(self._recipe))
        if not watch.done:
            for p in (p for group in self.param_groups for p in group["params"]):
                refuse_from_the_cpu(p.device)
        return updates, watch

    def _needs(self, group: Mapping[str, Any], number: int) -> states.Needs:
        values = self._recipe.resolve(hyperparameters(self._recipe, group), class_name(self.recipe))
        return states.Needs(self._recipe.structure(values), values, Precision.of(group, number))

    def _step_on_tensors(self) -> None:
        kernels = self.__dict__.setdefault("_kernels", defaultdict(Kernels))  # like `_updates`
        unscaled, found_inf = self._unscaling(), self.__dict__.get("found_inf")
        with on_cpu_by_default(), torch.set_grad_enabled(self.defaults["differentiable"]):
            traceable.update(self._recipe, self.param_groups, self.state, kernels, unscaled, found_inf)

    @property
    def _recipe(self) -> Recipe:
        """The recipe under the convention that this optimizer follows."""
        return self.recipe.under(self.defaults.get(CONVENTION, CONVENTIONS[0]))

    def _take_scale_where_fused(self) -> None:
        """With `fused`, sets the attribute that makes a `torch.amp.GradScaler` pass its scale on."""
        if self.defaults.get("fused"):
            self._step_supports_amp_scaling = True

    def _unscaling(self) -> Callable[[], Finer] | None:
        """A function that unscales gradients by a `GradScaler`'s scale; `None` without a scale."""
        scale = self.__dict__.get("grad_scale")
        return None if scale is None else lambda: unscale(self.param_groups, scale)

    def _overflowed(self) -> bool:
        """Whether a `GradScaler` has found a gradient that is not finite, so that this step is skipped."""
        found = self.__dict__.get("found_inf")
        return found is not None and bool(found)

    def _on_tensors(self, watched: bool) -> bool:
        """Whether a step must be pure tensor operations: on request, or because a torch mode traces them."""
        if watched and torch.compiler.is_exporting():
            raise InputError(
                f"{class_name(self.recipe)} cannot step within torch.export, which leaves updates in place out of its"
                " program; export the model, and step outside of it."
            )
        for of in (self.defaults, *self.param_groups):
            if of.get("capturable") or of.get("differentiable"):
                return True
        return watched and not any(map(has_sparse_gradients, self.param_groups))

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Swaps averaged weights (`ema_decay`'s or schedule-free's) into the parameters, to evaluate or save them.

        On exit the trained weights are back, bit for bit. A step inside raises `InputError`. Buffers, such as batch
        norm's statistics, belong to the trained weights and are not swapped.

            with optimizer.averaged_weights():
                evaluate(model)
        """
        if "_swapped" in self.__dict__:
            yield  # nested: already swapped
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
            scheduling.set_initial(self.recipe, group)
            scheduling.realign(self.recipe, group)
        self.__dict__.pop("_updates", None)  # it holds references to earlier state
        if "defaults" in state:  # copied or unpickled
            self._take_scale_where_fused()
        with on_cpu_by_default():
            states.adopt(self.recipe, self.state)

    def state_dict(self) -> dict[str, Any]:
        """As torch's, with NumPy scalars as Python numbers, so that `torch.load` reads it with `weights_only=True`."""
        for group in self.param_groups:
            group.update({key: value.item() for key, value in group.items() if isinstance(value, np.generic)})
        state_dict = super().state_dict()
        for packed, group in zip(state_dict["param_groups"], self.param_groups, strict=True):
            if values_ahead.SCHEDULES in group:
                packed[values_ahead.SCHEDULES] = schedule_checkpoints.as_text(group)
        return state_dict

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads a checkpoint of this class or of torch's of the same name.

        Parameters are matched by name where both have names (`model.named_parameters()`; prefixes of DDP, FSDP and
        `torch.compile` are ignored), else by order. State is copied into this optimizer's dtypes and the parameters'
        layouts; unknown entries, of states and groups, are copied as they are.

        Raises `InputError` for a checkpoint of another convention, or of other parameters.
        """
        seen, schedules = dict[str, Any](), list[schedule_checkpoints.Loaded]()

        def match(_: torch.optim.Optimizer, given: dict[str, Any]) -> dict[str, Any]:
            require_checkpoint(given)
            torchs = {CONVENTION: self.recipe.convention}  # followed by a checkpoint that names none
            self._refuse_another_convention([{**torchs, **group} for group in given["param_groups"]])
            seen.update(matched(self.recipe, self.param_groups, given))
            seen["param_groups"] = [adopted(self.recipe, group) for group in seen["param_groups"]]
            schedules[:] = schedule_checkpoints.taken(self.recipe, self.param_groups, seen["param_groups"])
            return seen

        def restore(_: torch.optim.Optimizer) -> None:
            for group, loaded in zip(self.param_groups, schedules, strict=True):
                schedule_checkpoints.restore(self.recipe, group, loaded)
            for number, (group, saved) in enumerate(zip(self.param_groups, seen["param_groups"], strict=True)):
                precision, to_device = Precision.of(group, number), bool(group.get("capturable"))
                for p, index in zip(group["params"], saved["params"], strict=True):
                    if index in seen["state"]:
                        given = seen["state"][index]
                        self.state[p] = restored(self.recipe, given, p, precision, to_device=to_device)

        hooks = (  # after the user's hooks that change the input, and before those that read what was loaded
            self.register_load_state_dict_pre_hook(match),
            self.register_load_state_dict_post_hook(restore, prepend=True),
        )
        try:
            super().load_state_dict(state_dict)
        finally:
            for hook in hooks:
                hook.remove()

    def share_memory(self) -> None:
        """Moves existing state into shared memory, as torch's Adagrad does."""
        for value in (value for state in self.state.values() for value in state.values()):
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
        """The group's precision settings, validated. Raises `InputError` for any invalid value in the group."""
        recipe = self.recipe.under(group.get(CONVENTION, CONVENTIONS[0]))
        recipe.resolve(hyperparameters(recipe, group), class_name(recipe))
        eight = "state_dtype='8bit'" if group.get("state_dtype") == "8bit" else ""
        other = eight or ("fused=True" if group.get("fused") else "")
        if group.get("differentiable") and other:
            raise InputError(f"{class_name(recipe)}: differentiable=True and {other} do not go together; keep one.")
        return check(class_name(recipe), group)
