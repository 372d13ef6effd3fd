"""The command `torchest`, for exported models and training directories.

    torchest show exports/1790000000
    torchest show exports/1790000000 --format triton > config.pbtxt
    torchest show models/titanic
    torchest verify exports/1790000000
    torchest predict exports/1790000000 --input passengers.csv --output answers.csv
    torchest serve exports --port 8501
    torchest import-checkpoint tensorflow/census models/census --estimator my_models:census
    torchest migrate trainer --write

`show` of an exported model and `verify` need numpy and onnxruntime only.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from torchest.errors import with_article
from torchest.exported.golden import MANIFEST, believed, exported, read_manifest, verify
from torchest.serving.limits import Limits
from torchest.serving.triton import config as triton_config
from torchest.utils import files
from torchest.utils.checks import number, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from torchest.estimator import Estimator

_LIMITS = {  # by attribute of Limits
    "max_body_bytes": "bytes of a request's body",
    "max_rows_per_run": "rows of one run of the model; a larger request is answered in several runs",
    "max_waiting_rows": "rows of all requests that are being answered",
    "max_string_length": "characters of a string",
    "max_list_length": "values in one list of a row",
    "timeout": "seconds that a client may take to send headers, to send a body, or to go on reading",
    "max_connections": "connections at once",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command. Exits with 1 if a check or the command fails, and with 2 for wrong arguments."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        problems: int = options.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # nobody reads any further, as with `torchest show DIR | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        problems = 0
    except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:
        parser.exit(2, _printable(f"torchest {options.command}: {error}") + "\n")
    parser.exit(1 if problems else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "torchest", description="Exported models and what they came from."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    show = commands.add_parser(
        "show", help="the signatures of an exported model, or a training directory"
    )
    show.add_argument("directory", help="an exported model, or a model_dir")
    show.add_argument(
        "--format", choices=("table", "triton"), default="table",
        help="triton: a config.pbtxt for the exported model; default: table",
    )  # fmt: skip
    show.set_defaults(run=_show)

    check = commands.add_parser(
        "verify", help="runs the golden rows of an exported model with onnxruntime"
    )
    check.add_argument("directory", help="an exported model")
    check.set_defaults(run=_verify)

    ask = commands.add_parser("predict", help="answers the rows of a table")
    ask.add_argument("directory", help="an exported model")
    ask.add_argument("--input", required=True, help="a file: .csv, .jsonl or .parquet")
    ask.add_argument("--output", required=True, help="a file to write: .csv, .jsonl or .parquet")
    ask.add_argument("--signature", help="which signature; default: predict, or serving_default")
    ask.add_argument("--engine", help="onnx, torchscript or pt2; default: onnx")
    ask.add_argument(
        "--batch-size", "--batch_size", type=int, default=4096, help="rows at a time; default: 4096"
    )
    ask.add_argument(
        "--allow-missing", action="store_true",
        help="answer also where the file lacks columns that the model reads: they count as left out",
    )  # fmt: skip
    ask.set_defaults(run=_predict)

    bring = commands.add_parser(
        "import-checkpoint", help="writes a checkpoint from TensorFlow's; see docs/migrating.md"
    )
    bring.add_argument("source", help="a model_dir of TensorFlow, or a checkpoint in it")
    bring.add_argument("model_dir", help="a new directory, for the checkpoint")
    bring.add_argument(
        "--estimator", required=True, metavar="MODULE:FUNCTION",
        help="a function without arguments that makes the premade estimator",
    )  # fmt: skip
    bring.set_defaults(run=_import_checkpoint)

    _add_migrate(commands.add_parser(
        "migrate", help="rewrites programs that use tf.estimator; see docs/migrating.md"
    ))  # fmt: skip

    server = commands.add_parser("serve", help="answers requests over HTTP; see docs/serving.md")
    _add_serve_options(server)
    server.set_defaults(run=_serve)
    return parser


def _add_migrate(move: argparse.ArgumentParser) -> None:
    move.add_argument("path", metavar="FILE|DIR", help="a program, or a folder of programs")
    move.add_argument("--write", action="store_true", help="writes the files; default: only tells")
    move.add_argument("--diff", action="store_true", help="shows the changes")
    move.add_argument(
        "--report",
        metavar="FILE.json",
        help="file to write: file, line, kind and text of each note",
    )
    move.add_argument(
        "--tensorflow", type=int, choices=(1, 2),
        help="the TensorFlow that the programs were written for; default: their names tell",
    )  # fmt: skip
    move.set_defaults(run=_migrate)


def _add_serve_options(server: argparse.ArgumentParser) -> None:
    server.add_argument("directory", help="an exported model, or a directory of exported models")
    server.add_argument(
        "--host", default="127.0.0.1",
        help="address to listen on; 0.0.0.0: all of this machine; default: %(default)s",
    )  # fmt: skip
    server.add_argument(
        "--port", type=int, default=8501, help="port; 0: any free one; default: %(default)s"
    )
    server.add_argument(
        "--name", default="model", help="what clients call the model; default: %(default)s"
    )
    server.add_argument(
        "--threads", type=int, default=0, metavar="N",
        help="threads of one run of the model; 0: one for each core; default: %(default)s",
    )  # fmt: skip
    levels = ("debug", "info", "warning", "error")
    server.add_argument(
        "--log-level", default="info", choices=levels, help="least level; default: %(default)s"
    )
    for option, meaning in _LIMITS.items():
        default = getattr(Limits, option)
        server.add_argument(
            _flag(option),
            type=type(default),
            default=default,
            metavar="SECONDS" if option == "timeout" else "N",
            help=f"{meaning}; default: %(default)s",
        )


def _verify(options: argparse.Namespace) -> int:
    problems = verify(options.directory)
    for problem in problems:
        print(_printable(problem))  # noqa: T201
    answer = (
        f"{len(problems)} answers differ"
        if problems
        else "all golden rows are answered as at the export"
    )
    print(f"{options.directory}: {answer}")  # noqa: T201
    return len(problems)


def _show(options: argparse.Namespace) -> int:
    lines: Iterable[str]
    if options.format == "triton":
        with exported(options.directory) as local:
            lines = triton_config(local)
    elif MANIFEST in files.names_in(files.normal(options.directory)):
        with exported(options.directory) as local, believed(local, MANIFEST):
            lines = list(_of_export(options.directory, local))
    elif os.path.exists(os.path.join(options.directory, "checkpoint")):
        lines = _of_training(options.directory)
    else:
        raise ValueError(
            f"{options.directory!r} is neither an exported model (no {MANIFEST}) nor a model_dir (no checkpoint)."
        )
    for line in lines:
        print(_printable(line))  # noqa: T201
    return 0


def _printable(line: str) -> str:
    """Escapes control characters, so that names cannot send commands to the terminal."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)


def _of_export(directory: str, local: str) -> Iterable[str]:
    """The lines that describe an exported model."""
    manifest = read_manifest(local)
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    yield f"{directory}: step {manifest['global_step']}, written with {versions}"
    if "files" in manifest:
        sizes = (
            f"{name} ({os.path.getsize(files.inside(local, name)):,} bytes)"
            for name in manifest["files"]
        )
        yield f"files: {', '.join(sizes)}"
        outputs = {each["name"]: each for each in manifest["outputs"]}
        for domain, version in manifest.get("onnx", {}).get("operators", {}).items():
            yield f"operators of model.onnx: {domain} {version}"
        yield ""
        yield from _table(
            ("input", "dtype", "shape", "if it is missing", "used"),
            [
                (
                    each["name"],
                    each["dtype"],
                    _shape(each["shape"]),
                    _missing(each["missing"]),
                    "yes" if each["used"] else "no",
                )
                for each in manifest["inputs"]
            ],
        )
        yield ""
        yield from _table(
            ("signature", "method", "takes", "output", "dtype", "shape"),
            [
                (
                    name if not place else "",
                    signature["method"] if not place else "",
                    _takes(signature, manifest) if not place else "",
                    key,
                    outputs[output]["dtype"],
                    _shape(outputs[output]["shape"]),
                )
                for name, signature in sorted(manifest["signatures"].items())
                for place, (key, output) in enumerate(signature["outputs"].items())
            ],
        )
    for mode in ("train", "eval"):
        if mode in manifest:
            yield ""
            rows = [
                (mode, kind, each["name"], each["dtype"], _shape(each["shape"]))
                for kind in ("inputs", "outputs")
                for each in manifest[mode][kind]
            ]
            yield from _table(("mode", "", "name", "dtype", "shape"), rows)


def _of_training(directory: str) -> Iterable[str]:
    """The lines that describe a training directory."""
    from torchest.checkpoint.directory import Checkpoint, latest_checkpoint
    from torchest.checkpoint.index import read_index
    from torchest.modes.evaluation_record import read_evaluations

    newest = latest_checkpoint(directory)
    if newest is None:
        raise ValueError(f"{directory!r} has no checkpoint yet.")
    checkpoint = Checkpoint(newest)
    yield f"{directory}: step {checkpoint.global_step}"
    yield f"checkpoints: {', '.join(read_index(directory).times)}"
    tensors = checkpoint.model()
    total = sum(tensor.numel() for tensor in tensors.values())
    yield ""
    yield from _table(
        (f"parameter ({total:,} numbers)", "dtype", "shape"),
        [
            (name, str(tensor.dtype).removeprefix("torch."), str(list(tensor.shape)))
            for name, tensor in tensors.items()
        ],
    )
    for name in sorted(os.listdir(directory)):
        if name == "eval" or name.startswith("eval_"):
            evaluations = read_evaluations(os.path.join(directory, name))
            if evaluations:
                yield ""
                yield from _table_of_metrics(name, evaluations)


def _table_of_metrics(name: str, evaluations: Mapping[int, Mapping[str, float]]) -> Iterable[str]:
    """The last ten evaluations, one line per metric."""
    steps = list(evaluations)[-10:]
    metrics = sorted({metric for step in steps for metric in evaluations[step]})
    return _table(
        (name, *(f"step {step}" for step in steps)),
        [
            (metric, *(f"{evaluations[step].get(metric, float('nan')):.6g}" for step in steps))
            for metric in metrics
        ],
    )


def _predict(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from torchest.errors import suggest
    from torchest.export.loading import load
    from torchest.export.tables import format_of, read_batches, write_batches
    from torchest.export_outputs import PREDICT, SERVING_DEFAULT

    whole_number("--batch-size", options.batch_size, at_least=1)
    format_of(options.output)
    model = load(options.directory, options.engine)
    usual = PREDICT if PREDICT in model.signatures else SERVING_DEFAULT
    wanted = options.signature or usual
    if wanted not in model.signatures:
        raise ValueError(f"There is no signature {wanted!r}.{suggest(wanted, model.signatures)}")
    signature = model.signatures[wanted]
    batches = read_batches(
        options.input, model.inputs, options.batch_size, allow_missing=options.allow_missing
    )
    with tqdm(unit=" rows", disable=None) as bar:  # none where nobody watches

        def answers() -> Iterator[dict[str, Any]]:
            for batch in batches:
                yield signature(**batch)
                bar.update(len(next(iter(batch.values()))))

        count = write_batches(options.output, answers(), signature.of_any_length)
    print(f"{options.output}: {count} rows, answered by {model.engine}")  # noqa: T201
    return 0


def _import_checkpoint(options: argparse.Namespace) -> int:
    from torchest.warm_start.import_checkpoint import import_checkpoint

    model_fn = _estimator(options.estimator)._model_fn
    imported = import_checkpoint(options.source, options.model_dir, model_fn)
    print(  # noqa: T201
        f"{imported.path}: {imported.parameters} parameters and {imported.slots} slots of {imported.source}"
    )
    return 0


def _migrate(options: argparse.Namespace) -> int:
    try:
        from torchest.migrate.command import run
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is not installed: pip install 'torchest[migrate]'."
        ) from error
    for line in run(options):
        print(_printable(line))  # noqa: T201
    return int(options.failed)


def _estimator(place: str) -> Estimator:
    """The estimator that a function of the user makes; its module may lie in the working directory."""
    from torchest.estimator import Estimator

    module, _, function = place.partition(":")
    if not module or not function:
        raise ValueError(
            f"--estimator={place!r} must be a module and a function in it, such as my_models:census."
        )
    sys.path.insert(0, os.getcwd())
    try:
        make = getattr(importlib.import_module(module), function, None)
    finally:
        sys.path.remove(os.getcwd())
    if not callable(make):
        raise ValueError(f"--estimator={place!r}: {module!r} has no function {function!r}.")
    made = make()
    if not isinstance(made, Estimator):
        raise TypeError(
            f"--estimator={place!r} returned {with_article(type(made).__name__)}: it must return a torchest.Estimator."
        )
    return made


def _serve(options: argparse.Namespace) -> int:
    whole_number("--port", options.port, at_least=0, at_most=65535)
    whole_number("--threads", options.threads, at_least=0)
    if not options.name or set(options.name) & set("/:"):
        raise ValueError(
            f"--name={options.name!r} must be a name without / and :, as it is a part of addresses."
        )
    for option in _LIMITS:
        number(_flag(option), getattr(options, option), above=0)
    try:
        from torchest.serving.serve import Options, serve
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is not installed: pip install 'torchest[serving]'."
        ) from error
    limits = Limits(**{option: getattr(options, option) for option in _LIMITS})
    address = Options(options.host, options.port, options.name, options.threads, options.log_level)
    serve(options.directory, address, limits)
    return 0


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _takes(signature: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    if manifest["examples"] is None:
        return "features"
    return f"{next(iter(signature['inputs']))} (serialized), or features"


def _missing(rule: Mapping[str, Any]) -> str:
    return f"default {rule['value']}" if rule["rule"] == "default" else str(rule["rule"])


def _shape(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, ["-" * width for width in widths], *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
