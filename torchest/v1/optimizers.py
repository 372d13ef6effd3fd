"""The optimizers of TensorFlow 1, with their names, arguments and numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch

from torchest import optimizers
from torchest.engine.scope import active_scope
from torchest.engine.train_step import backward
from torchest.spec import Minimization
from torchest.utils.checks import shown
from torchest.utils.tensorflow_names import sentence
from torchest.v1.global_step import GlobalStep
from torchest.v1.momentum import Momentum
from torchest.v1.proximal import ProximalAdagrad, ProximalGradientDescent
from torchest.v1.rmsprop import RMSProp

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim.optimizer import ParamsT

    from torchest.optimizers.base import RowOptimizer
    from torchest.optimizers.common_options import LearningRate


_NAMES = {
    "lr": "learning_rate",
    "beta_1": "beta1",
    "beta_2": "beta2",
    "nesterov": "use_nesterov",
}
_MESSAGE = re.compile(r"^\w+: (?P<option>\w+)=")


class Optimizer:
    """An optimizer of TensorFlow 1, which has no parameters of its own.

    Estimators take it as `optimizer`, and `torchest.get_or_create` as the result of a factory. In a model_fn,
    `minimize` makes a `train_op`. It may be used for several models.

    Args:
        kind: The class of the optimizer in torchest.
        options: Its options.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(self, kind: type[RowOptimizer], **options: Any) -> None:
        try:
            self._settings = kind(None, **options)
        except ValueError as error:
            raise ValueError(_MESSAGE.sub(self._in_tf1, str(error))) from None

    def _in_tf1(self, start: re.Match[str]) -> str:
        """The start of a message about an option, with TensorFlow 1's names."""
        name = start["option"]
        return f"{type(self).__name__}: {_NAMES.get(name, name)}="

    def with_parameters(self, params: ParamsT) -> torch.optim.Optimizer:
        """Makes an optimizer for parameters.

        Args:
            params: Parameters, or dicts of groups of them.
        """
        return self._settings.with_parameters(params)

    def minimize(
        self,
        loss: Tensor,
        global_step: GlobalStep | None = None,
        var_list: ParamsT | None = None,
        name: str = "optimizer",
    ) -> Minimization:
        """Returns a `train_op` that minimizes a loss. Call it in a model_fn, on every batch.

        The first call makes an optimizer, which is kept in checkpoints as by `torchest.get_or_create`; the options of
        later calls have no effect.

        Args:
            loss: A scalar; if it is not the loss of the `EstimatorSpec`, `RunConfig` can neither clip nor accumulate
                its gradients.
            global_step: `get_global_step()`, or None: an Estimator counts the steps itself.
            var_list: The parameters to train. None: those of all modules that `get_or_create` made so far and that are
                not frozen.
            name: The name of the optimizer in checkpoints. Two optimizers of one model need two names.

        Raises:
            RuntimeError: Called outside a model_fn.
            ValueError: Another optimizer of the model has this name; or there are no modules with parameters.
            TypeError: An argument is of another type.

        >>> import torch, torchest
        >>> from torchest.v1 import train
        >>> def model_fn(features, labels, mode):
        ...     net = torchest.get_or_create("net", lambda: torch.nn.Linear(1, 1))
        ...     loss = (net(features["x"]) - labels).square().mean()
        ...     optimizer = train.GradientDescentOptimizer(learning_rate=0.1)
        ...     train_op = optimizer.minimize(loss, global_step=train.get_global_step())
        ...     return torchest.EstimatorSpec(mode, loss=loss, train_op=train_op)
        >>> batch = {"x": torch.ones(2, 1)}, torch.ones(2, 1)
        >>> model = torchest.Estimator(model_fn).train(lambda: batch, steps=3)
        >>> model.get_variable_value("global_step")
        array(3)
        """
        call = f"{type(self).__name__}.minimize"
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise TypeError(f"{call}: loss={shown(loss)} must be a scalar tensor.")
        if not isinstance(global_step, GlobalStep | None):
            raise TypeError(
                f"{call}: global_step={shown(global_step)} must be get_global_step(), or None."
            )
        made: object = active_scope(call).get_or_create(
            name, lambda: self if var_list is None else self.with_parameters(var_list), self
        )
        if not isinstance(made, torch.optim.Optimizer):
            raise ValueError(
                f"{call}: name={shown(name)} is that of a {type(made).__name__}: give the optimizer another name."
            )
        return Minimization(made, loss, backward)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self._settings.defaults.items())})"

    def __getattr__(self, name: str) -> object:
        answer = "" if name.startswith("_") else sentence(f"tf.train.Optimizer.{name}", "tf.train")
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}. {answer}".rstrip()
        )


class GradientDescentOptimizer(Optimizer):
    """Gradient descent, as `torchest.optimizers.SGD` without momentum.

    Args:
        learning_rate: A number; a function of the number of steps so far, such as `exponential_decay` returns.
        use_locking: Has no effect; likewise in the other optimizers.
        name: Has no effect; likewise in the other optimizers.
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        use_locking: bool = False,
        name: str = "GradientDescent",
    ) -> None:
        super().__init__(optimizers.SGD, lr=learning_rate)


class MomentumOptimizer(Optimizer):
    """Gradient descent with momentum M = momentum · M + g, w −= learning_rate · M.

    Args:
        learning_rate: As for `GradientDescentOptimizer`.
        momentum: At least 0 and at most 1.
        use_locking: Has no effect.
        name: Has no effect.
        use_nesterov: Whether to use Nesterov's momentum.
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        momentum: float,
        use_locking: bool = False,
        name: str = "Momentum",
        use_nesterov: bool = False,
    ) -> None:
        super().__init__(Momentum, lr=learning_rate, momentum=momentum, nesterov=use_nesterov)


class AdagradOptimizer(Optimizer):
    """Adagrad, as `torchest.optimizers.Adagrad` with epsilon 0.

    Args:
        learning_rate: As for `GradientDescentOptimizer`.
        initial_accumulator_value: Initial value of the accumulators, above 0.
        use_locking: Has no effect.
        name: Has no effect.
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        initial_accumulator_value: float = 0.1,
        use_locking: bool = False,
        name: str = "Adagrad",
    ) -> None:
        start = initial_accumulator_value
        super().__init__(
            optimizers.Adagrad, lr=learning_rate, initial_accumulator_value=start, epsilon=0.0
        )


class AdamOptimizer(Optimizer):
    """Adam, as `torchest.optimizers.Adam` with another default of epsilon.

    Args:
        learning_rate: As for `GradientDescentOptimizer`.
        beta1: Decay rate of the mean of gradients, at least 0 and below 1.
        beta2: Decay rate of the mean of squares, at least 0 and below 1.
        epsilon: Added to the denominator, at least 0.
        use_locking: Has no effect.
        name: Has no effect.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-08,
        use_locking: bool = False,
        name: str = "Adam",
    ) -> None:
        super().__init__(
            optimizers.Adam, lr=learning_rate, beta_1=beta1, beta_2=beta2, epsilon=epsilon
        )


class AdadeltaOptimizer(Optimizer):
    """Adadelta, as `torchest.optimizers.Adadelta` with another default of epsilon.

    Args:
        learning_rate: As for `GradientDescentOptimizer`.
        rho: Decay rate of the means, at least 0 and below 1.
        epsilon: Added under the roots, at least 0.
        use_locking: Has no effect.
        name: Has no effect.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-08,
        use_locking: bool = False,
        name: str = "Adadelta",
    ) -> None:
        super().__init__(optimizers.Adadelta, lr=learning_rate, rho=rho, epsilon=epsilon)


class FtrlOptimizer(Optimizer):
    """Ftrl, as `torchest.optimizers.Ftrl`.

    Args:
        learning_rate: As for `GradientDescentOptimizer`, above 0.
        learning_rate_power: At most 0.
        initial_accumulator_value: Initial value of the accumulators, at least 0.
        l1_regularization_strength: l1, at least 0.
        l2_regularization_strength: l2, at least 0; it is doubled.
        use_locking: Has no effect.
        name: Has no effect.
        accum_name: Has no effect.
        linear_name: Has no effect.
        l2_shrinkage_regularization_strength: At least 0.
        beta: At least 0. None: 0.
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        use_locking: bool = False,
        name: str = "Ftrl",
        accum_name: str | None = None,
        linear_name: str | None = None,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float | None = None,
    ) -> None:
        super().__init__(
            optimizers.Ftrl,
            lr=learning_rate,
            learning_rate_power=learning_rate_power,
            initial_accumulator_value=initial_accumulator_value,
            l1_regularization_strength=l1_regularization_strength,
            l2_regularization_strength=l2_regularization_strength,
            l2_shrinkage_regularization_strength=l2_shrinkage_regularization_strength,
            beta=0.0 if beta is None else beta,
        )


class RMSPropOptimizer(Optimizer):
    """RMSProp whose mean of squares is initially 1, and whose epsilon is under the root.

    Rows of a table that a batch does not use keep their weights and means.

    Args:
        learning_rate: As for `GradientDescentOptimizer`.
        decay: Decay rate of the means, at least 0 and below 1.
        momentum: At least 0 and below 1.
        epsilon: At least 0.
        use_locking: Has no effect.
        centered: Whether to divide by the standard deviation.
        name: Has no effect.
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        decay: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-10,
        use_locking: bool = False,
        centered: bool = False,
        name: str = "RMSProp",
    ) -> None:
        super().__init__(
            RMSProp,
            lr=learning_rate,
            rho=decay,
            momentum=momentum,
            epsilon=epsilon,
            centered=centered,
        )


class ProximalGradientDescentOptimizer(Optimizer):
    """Gradient descent with proximal steps for l1 and l2 regularisation.

    Args:
        learning_rate: As for `GradientDescentOptimizer`.
        l1_regularization_strength: l1, at least 0.
        l2_regularization_strength: l2, at least 0.
        use_locking: Has no effect.
        name: Has no effect.
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        use_locking: bool = False,
        name: str = "ProximalGradientDescent",
    ) -> None:
        super().__init__(
            ProximalGradientDescent,
            lr=learning_rate,
            l1_regularization_strength=l1_regularization_strength,
            l2_regularization_strength=l2_regularization_strength,
        )


class ProximalAdagradOptimizer(Optimizer):
    """Adagrad with proximal steps for l1 and l2 regularisation.

    Args:
        learning_rate: As for `GradientDescentOptimizer`.
        initial_accumulator_value: Initial value of the accumulators, above 0.
        l1_regularization_strength: l1, at least 0.
        l2_regularization_strength: l2, at least 0.
        use_locking: Has no effect.
        name: Has no effect.
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        use_locking: bool = False,
        name: str = "ProximalAdagrad",
    ) -> None:
        super().__init__(
            ProximalAdagrad,
            lr=learning_rate,
            initial_accumulator_value=initial_accumulator_value,
            l1_regularization_strength=l1_regularization_strength,
            l2_regularization_strength=l2_regularization_strength,
        )
