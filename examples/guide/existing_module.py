"""An existing module becomes an estimator: a net whose new top tells upright stripes from lying ones.

python examples/guide/existing_module.py                      # on a small net, made here
python examples/guide/existing_module.py --base mobilenet_v2  # on MobileNetV2: needs torchvision

As in transfer learning, the net below the top is frozen. With `--weights FILE`, MobileNetV2 has the weights of a file,
such as those that torchvision offers for download; without it, they are random.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

import torchest
from torchest import inputs, metrics

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 16
Images = tuple[torch.Tensor, torch.Tensor]


def make_images(rows: int, size: int, seed: int) -> Images:
    """Noise [rows, 3, size, size] with bright stripes: upright ones in class 0, lying ones in class 1."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (rows,), generator=generator)
    stripes = ((torch.arange(size) // 8) % 2).float() * 2 - 1
    upright = stripes.expand(3, size, size)
    noise = torch.randn(rows, 3, size, size, generator=generator)
    return torch.stack([upright, upright.transpose(1, 2)])[labels] + 0.5 * noise, labels


def input_fn(images: Images) -> Callable[[], inputs.Dataset]:
    """Batches of 16 images with their labels, once."""
    features, labels = images
    rows = inputs.Dataset.from_tensor_slices(({"image": features}, labels))
    return lambda: rows.batch(BATCH)


class OnTop(nn.Module):
    """One output on a frozen net without its top."""

    def __init__(self, base: nn.Module, width: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.output = nn.Linear(width, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits [rows, 1] of images."""
        return self.output(self.pool(self.base(image)).flatten(1))


def make_small() -> OnTop:
    """On two convolutions."""
    base = nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 5, stride=2), nn.ReLU()
    )
    return OnTop(base, 32)


def make_mobilenet(weights: str | None = None, size: int = 160) -> OnTop:
    """On MobileNetV2; random weights get the statistics of such images, as long training would give them."""
    from torchvision.models import mobilenet_v2

    whole = mobilenet_v2(weights=None)
    module = OnTop(whole.features, whole.last_channel)
    if weights:
        whole.load_state_dict(torch.load(weights, weights_only=True))
        return module
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        module.train()(make_images(BATCH, size, seed=7)[0])
    return module


def make_model(module: nn.Module, model_dir: Any, lr: float = 0.03) -> torchest.Estimator:
    """An estimator that starts with the weights of the module, and leaves the module as it is."""
    return torchest.model_to_estimator(
        module,
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=lr),
        loss=nn.BCEWithLogitsLoss(),
        metrics={"accuracy": lambda output, labels: metrics.accuracy(labels, output > 0)},
        model_dir=model_dir,
    )


def run(module: nn.Module, model_dir: str | None, steps: int, size: int) -> dict[str, Any]:
    """Trains the top; returns metrics before and after, and logits [32] of the estimator and of the module.

    The module has the weights of the checkpoint in the end.
    """
    model = make_model(module, model_dir)
    training = input_fn(make_images(4 * BATCH, size, seed=1))
    others = make_images(2 * BATCH, size, seed=2)
    before = model.evaluate(input_fn(others))
    model.train(lambda: training().repeat(), steps=steps)
    after = model.evaluate(input_fn(others))
    logits = np.concatenate([row["output"] for row in model.predict(input_fn(others))])
    module.load_state_dict(torchest.load_checkpoint(model.model_dir).module("model"))
    with torch.no_grad():
        of_module = module.eval()(others[0])[:, 0].numpy()
    return {"before": before, "after": after, "estimator": logits, "module": of_module}


def main() -> None:
    """Prints the accuracy before and after the training of the top."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", choices=["small", "mobilenet_v2"], default="small")
    parser.add_argument("--weights", help="a file of weights of MobileNetV2; default: random ones")
    parser.add_argument("--steps", type=int, default=12, help="how many steps to train for")
    parser.add_argument("--model_dir", help="where the model is kept; default: a temporary folder")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    if arguments.base == "small":
        module, size = make_small(), 64
    else:
        module, size = make_mobilenet(arguments.weights), 160
    result = run(module, arguments.model_dir, arguments.steps, size)
    for when in ("before", "after"):
        print(
            f"{when:>6}: accuracy {result[when]['accuracy']:.3f}, loss {result[when]['loss']:.4f}"
        )
    difference = np.abs(result["estimator"] - result["module"]).max()
    print(f"the module with the checkpoint's weights answers as the estimator, to {difference:.1e}")


if __name__ == "__main__":
    main()
