"""The base of torchest's optimizers: one formula for whole parameters and for some rows of a table."""

from __future__ import annotations

import inspect
import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from torchest.errors import suggest
from torchest.optimizers import row_gradients
from torchest.optimizers.clipping import Limits
from torchest.optimizers.common_options import UNUSED, CommonOptions, Options, rate_of
from torchest.optimizers.dense import Dense, Slots, dense_gradient, filled, updated_at_once
from torchest.utils.checks import boolean, is_bool, is_list, is_number, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    from torch.optim.optimizer import ParamsT
    from typing_extensions import Self

    from torchest.optimizers.row_gradients import RowGradient

    Int64s = npt.NDArray[np.int64]


class Loops(NamedTuple):
    """A formula as compiled loops; see `torchest.kernels.updates`.

    Attributes:
        of_rows: Updates rows of a table.
        of_vectors: Updates vectors at any addresses.
        numbers: Further arguments of both.
        depend_on_step: Whether the numbers differ from step to step, with the same options.
    """

    of_rows: Callable[..., None]
    of_vectors: Callable[..., None]
    numbers: tuple[float, ...]
    depend_on_step: bool = False


def _undecorated(method: Any) -> Any:
    """A method without torch's decorator, whose first call would import the compiler."""
    return getattr(method, "__wrapped__", method)


class RowOptimizer(torch.optim.Optimizer):
    """An optimizer that updates parameters from dense gradients and from gradients of rows.

    A subclass names its slots in `_initial_slots` and writes its formula once, in `_update`. For gradients of
    rows the formula runs on those rows of the parameter and of its slots; no other row is read or written, unless a
    subclass overrides `_age`. If a parameter has both kinds of gradient in a step, they become one dense gradient.

    The state of a parameter consists of its slots, made at the first update that needs them, and `step`, the number of
    steps so far, for schedules and bias corrections. A step in which the parameter had no gradient counts too.

    Args:
        params: Parameters, or dicts of groups of them, as for any `torch.optim.Optimizer`. None: an optimizer without
            parameters, from which `with_parameters` makes others with its options.
        defaults: Options by name. `lr` is a number, or a function of the number of steps so far.
        common: Options that every optimizer takes.
    """

    takes_row_gradients = True
    # the rows of each table in a parameter that tables share, by the `id` of the parameter; they are clipped one by one
    tables: Mapping[int, Sequence[slice]] = MappingProxyType({})
    # called before rows of a parameter change (None: any of them), if `changes_rows_only`
    before_change: Callable[[Tensor, Int64s | None], None] | None = None

    # importing torch's compiler takes a second, which is most of the time from import to the first step
    add_param_group = _undecorated(torch.optim.Optimizer.add_param_group)
    state_dict = _undecorated(torch.optim.Optimizer.state_dict)
    load_state_dict = _undecorated(torch.optim.Optimizer.load_state_dict)

    def __init__(
        self, params: ParamsT | None, defaults: dict[str, Any], common: CommonOptions | None = None
    ) -> None:
        defaults = self._with_common(defaults, common or {})
        for name, value in defaults.items():
            if is_bool(value):
                defaults[name] = bool(value)
        if params is None:
            super().__init__([torch.nn.Parameter(torch.empty(0))], defaults)
            self.param_groups.clear()
        else:
            super().__init__(self._checked_parameters(params), defaults)

    def with_parameters(self, params: ParamsT) -> Self:
        """Makes an optimizer of the same class and options.

        Args:
            params: Parameters, or dicts of groups of them.

        >>> from torchest import optimizers
        >>> settings = optimizers.SGD(learning_rate=0.5)
        >>> weight = torch.nn.Parameter(torch.ones(1))
        >>> optimizer = settings.with_parameters([weight])
        >>> optimizer.param_groups[0]["lr"]
        0.5
        """
        made = type(self).__new__(type(self))
        own = {"tables", "before_change"}  # of a made optimizer
        vars(made).update({name: value for name, value in vars(self).items() if name not in own})
        torch.optim.Optimizer.__init__(made, self._checked_parameters(params), dict(self.defaults))
        return made

    def _with_common(self, defaults: dict[str, Any], common: CommonOptions) -> dict[str, Any]:
        """The options of a group: those of the class, and those that every optimizer takes."""
        names = CommonOptions.__annotations__
        for name, value in common.items():
            if name not in names:
                known = [*defaults, *names]
                raise TypeError(
                    f"{type(self).__name__}: {name}={shown(value)} is not an option.{suggest(name, known)}"
                )
        options = {**defaults, **UNUSED, **common}
        if "learning_rate" in common:
            self._check_not_both(defaults["lr"], common["learning_rate"])
            options["lr"] = options.pop("learning_rate")
        if not callable(options["lr"]):
            self._check_lr("learning_rate" if "learning_rate" in common else "lr", options["lr"])
        for name in UNUSED:
            self._check_common(name, options[name])
        options["decay"] = options["decay"] or None
        return options

    def _check_not_both(self, lr: object, learning_rate: object) -> None:
        """Raises if the user gave a learning rate by both of its names."""
        default = inspect.signature(type(self).__init__).parameters.get("lr")
        if default is not None and lr != default.default:
            raise ValueError(
                f"{type(self).__name__}: lr={shown(lr)} and learning_rate={shown(learning_rate)} are two names of one "
                "option: give one of them."
            )

    def _check_lr(self, name: str, lr: object) -> None:
        """Checks a learning rate that is a number, which the user gave by this name."""
        self._require(lambda lr: lr >= 0, name, lr, "at least 0, or a function of the step")

    def _check_common(self, name: str, value: object) -> None:
        if value is not None and name == "decay":
            self._require(lambda value: value >= 0, name, value, "at least 0")
        elif value is not None:
            self._require(lambda value: value > 0, name, value, "above 0, or None")

    def _checked_parameters(self, params: object) -> list[Any]:
        name = type(self).__name__
        if is_number(params) or isinstance(params, str):
            raise TypeError(
                f"{name}: params={shown(params)} must be parameters, such as module.parameters(). Give a learning rate "
                f"by name: {name}(learning_rate={shown(params)})."
            )
        if not is_list(params):
            raise TypeError(
                f"{name}: params={shown(params)} must be parameters, such as module.parameters(), or dicts of groups "
                "of them."
            )
        listed = list(params)
        if not listed:
            raise ValueError(f"{name}: params=[] must be at least one parameter.")
        for item in listed:
            if not isinstance(item, Tensor | Mapping | tuple):
                raise TypeError(
                    f"{name}: params has {shown(item)}, but every item must be a parameter, or a dict of a group of "
                    "them."
                )
        return listed

    @abstractmethod
    def _initial_slots(self, options: Options) -> dict[str, float]:
        """The initial value of each slot, by name. Slots are tensors of the parameter's shape."""

    @abstractmethod
    def _update(
        self, weight: Tensor, gradient: Tensor, slots: Slots, lr: float, options: Options
    ) -> None:
        """Updates weight and slots in place, without changing the gradient.

        Args:
            weight: A parameter, or rows of one.
            gradient: The gradient, in the weight's shape.
            slots: The slots, in the weight's shape.
            lr: The learning rate of this step.
            options: The options of the parameter's group, and `step`, which is 1 in the first step.
        """

    def _loops(self, lr: float, options: Options) -> Loops | None:
        """The formula as compiled loops for the CPU; None if there are none for these options."""

    def changes_rows_only(self, options: Options) -> bool:  # noqa: ARG002
        """Whether a step changes no rows of a table but those with a gradient, and tells `before_change` of them.

        Args:
            options: Those of the table's group.
        """
        own = ("step", "_update_all", "_update_rows", "_age")
        return all(  # torch wraps the step of each class
            inspect.unwrap(getattr(type(self), each)) is inspect.unwrap(getattr(RowOptimizer, each))
            for each in own
        )

    def _age(self, slots: Slots, options: Options) -> None:
        """Changes the slots of unused rows in place; by default it does nothing.

        The slots of used rows are written afterwards.
        """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient.

        Args:
            closure: Computes the loss and its gradients first, as in `torch.optim`.

        Returns:
            The result of `closure`.
        """
        result = None
        if not self.param_groups:
            raise RuntimeError(
                f"This {type(self).__name__} has no parameters: make one by with_parameters, or by "
                "torchest.get_or_create in a model_fn."
            )
        if closure is not None:
            with torch.enable_grad():
                result = closure()
        for group in self.param_groups:
            for step, parameters in self._counted(group["params"]).items():
                self._update_all(parameters, {**group, "step": step, "lr": rate_of(group, step)})
        return result

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients of all parameters, including row gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    parameter.grad.detach_().zero_()
            row_gradients.clear(group["params"])

    def slots(self, parameter: Tensor, group: Options) -> Slots:
        """The slots of a parameter by name; missing ones are created.

        Args:
            parameter: One of the group's.
            group: One of `param_groups`.
        """
        return self._slots_from(self._initial_slots(group), parameter)

    def _slots_from(self, initial: Mapping[str, float], parameter: Tensor) -> Slots:
        state = self.state[parameter]
        if not state.keys() >= initial.keys():
            for name, value in initial.items():
                if name not in state:
                    state[name] = filled(parameter, value)
        return {name: state[name] for name in initial}

    def _counted(self, parameters: Iterable[Tensor]) -> dict[int, list[Tensor]]:
        """Counts one more step for each parameter, and groups them by their number of steps."""
        by_step: dict[int, list[Tensor]] = {}
        for parameter in parameters:
            state = self.state[parameter]
            step = state["step"] = state.get("step", 0) + 1
            by_step.setdefault(step, []).append(parameter)
        return by_step

    def _update_all(self, parameters: Iterable[Tensor], options: Options) -> None:
        """Updates parameters that are in the same step."""
        dense: list[Tensor] = []
        initial = self._initial_slots(options)
        limits = Limits.of(options)
        for parameter in parameters:
            if parameter.grad is not None:
                if self.before_change is not None:
                    self.before_change(parameter, None)
                row_gradients.densify(parameter)
                dense.append(parameter)
                continue
            rows = row_gradients.summed(parameter)
            if rows is not None:
                rows = limits.clip_rows(rows, self._tables_in(parameter))
                slots = self._slots_from(initial, parameter)
                if self.before_change is not None:
                    self.before_change(parameter, rows.rows.numpy(force=True))
                self._update_rows(parameter, rows, slots, options["lr"], options)
        for weights in updated_at_once(dense):
            slots_of_each = [self._slots_from(initial, weight) for weight in weights]
            gradients = [
                limits.clip(dense_gradient(weight), self._tables_in(weight)) for weight in weights
            ]
            group = Dense(weights, gradients, slots_of_each)
            if not self._loop_over_vectors(group, options):
                self._update_group(group, options)

    def _tables_in(self, parameter: Tensor) -> Sequence[slice]:
        return self.tables.get(id(parameter), ())

    def _update_group(self, group: Dense, options: Options) -> None:
        """Updates parameters from dense gradients, several as one vector."""
        if len(group.weights) == 1:
            (weight,), (gradient,), (slots,) = group
            self._update(weight, gradient, slots, options["lr"], options)
            return
        weights, gradients, joined_slots = group.joined()
        self._update(weights, gradients, joined_slots, options["lr"], options)
        group.copy_from(weights, joined_slots)

    def _loop_over_vectors(self, group: Dense, options: Options) -> bool:
        """Updates small parameters by a compiled loop; returns False if there is none for them."""
        first = group.weights[0]
        if not group.is_small or first.device.type != "cpu":
            return False
        loops = self._loops(options["lr"], options)
        number = row_gradients.number_type(first.dtype)
        if loops is None or number is None:
            return False
        memory = group.memory()
        if memory is None:
            return False
        tensors, addresses, sizes = memory
        loops.of_vectors(addresses, sizes, *map(number, loops.numbers))
        torch.autograd.graph.increment_version(tensors)
        return True

    def _update_rows(
        self, parameter: Tensor, gradient: RowGradient, slots: Slots, lr: float, options: Options
    ) -> None:
        """Updates the rows of a gradient, in which each row occurs once."""
        rows = gradient.rows
        arrays = row_gradients.arrays_of(gradient.values, parameter, *slots.values())
        loops = None if arrays is None else self._loops(lr, options)
        if arrays is not None and loops is not None:
            numbers = rows.numpy()
            if len(numbers) and not 0 <= numbers[0] <= numbers[-1] < len(parameter):
                raise IndexError(
                    f"An id is out of range: there are gradients of rows {numbers[0]} to {numbers[-1]} of a table of "
                    f"{len(parameter)} rows."
                )
            loops.of_rows(numbers, *arrays, *map(arrays[0].dtype.type, loops.numbers))
            torch.autograd.graph.increment_version([parameter, *slots.values()])
            return
        weight = row_gradients.read(parameter, rows)
        slots_of_rows = {name: row_gradients.read(slot, rows) for name, slot in slots.items()}
        self._age(slots, options)
        self._update(weight, gradient.values, slots_of_rows, lr, options)
        row_gradients.write(parameter, rows, weight)
        for name, slot in slots_of_rows.items():
            row_gradients.write(slots[name], rows, slot)

    def _require(self, holds: Callable[[Any], bool], name: str, value: Any, expected: str) -> None:
        """Checks that an option is a finite number, or a tensor of one number, in its range."""
        is_scalar = (
            type(value) is float  # as in every step
            or is_number(value)
            or (isinstance(value, Tensor) and value.ndim == 0)
        )
        if not is_scalar or not math.isfinite(value) or not holds(value):
            raise ValueError(f"{type(self).__name__}: {name}={shown(value)} must be {expected}.")

    def _require_booleans(self, **options: Any) -> None:
        for name, value in options.items():
            boolean(f"{type(self).__name__}: {name}", value)
