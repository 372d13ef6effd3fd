r"""Rewrites the text of one program.

>>> text, notes = migrate("import tensorflow as tf\n\nage = tf.feature_column.numeric_column('age')\n")
>>> print(text)
import torchest
<BLANKLINE>
age = torchest.feature_column.numeric_column('age')
<BLANKLINE>
>>> print(notes[0].line, notes[0].kind, notes[0].text)
1 changed the import of TensorFlow is removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from torchest.migrate import iterators, serving, statements
from torchest.migrate.calls import Template, Unfit, filled, with_keyword
from torchest.migrate.generation import sign_of_tensorflow_1, sign_of_tensorflow_2
from torchest.migrate.imports import bound_otherwise, edit_imports, imported
from torchest.migrate.names import answer, lacks, templates
from torchest.migrate.numbers import DIFFERENCES
from torchest.migrate.plan import Edits, Plan, without
from torchest.migrate.references import Code, dotted
from torchest.migrate.report import BY_HAND, CHANGED, NUMBERS, SAME, Note, see

if TYPE_CHECKING:
    from torchest.migrate.references import Reference

TENSORS, INPUTS, SERVING = "tensors", "inputs", "serving"
_READERS = ("tf.data.", "tf.decode_csv", "tf.parse_", "tf.io.decode_csv", "tf.io.parse_")
_OPTIMIZERS = "torchest.optimizers."
_BY_LINE = ("tf.decode_csv", "tf.io.decode_csv")
_SLOW = "Line by line it is slow: batch the lines before map, or read them by make_csv_dataset."
_PREMADE = ("Classifier", "Regressor", "Estimator")


def migrate(text: str, generation: int | None = None) -> tuple[str, list[Note]]:
    """Rewrites a program for torchest.

    Args:
        text: The program.
        generation: 1 or 2: the TensorFlow that it was written for. None: its names tell.

    Returns:
        The new text, and notes about every line that uses TensorFlow; the same text and no notes if none does.

    Raises:
        libcst.ParserSyntaxError: The text is not a Python program.
    """
    if "tensorflow" not in text:
        return text, []
    plan = Plan(Code(cst.parse_module(text)))
    _Migration(plan, generation).plan_all()
    module = plan.code.module.visit(Edits(plan))
    for change in plan.last:
        module = change(module)
    return module.code, sorted(plan.notes)


class _Migration:
    """Plans what becomes of a program."""

    def __init__(self, plan: Plan, generation: int | None) -> None:
        self._plan = plan
        self._code = plan.code
        first = sign_of_tensorflow_1(plan.code.references)
        is_first = first is not None or plan.code.uses(("torchest.v1.",))
        self._is_old = is_first if generation is None else generation == 1
        self._is_unknown = (
            generation is None
            and not is_first
            and sign_of_tensorflow_2(plan.code.references) is None
        )
        self._aliases = {module: name for name, module in imported(plan.code.module).items()}
        self._taken = bound_otherwise(plan.code.module)
        self._places = self._functions()

    def plan_all(self) -> None:
        """Plans all edits; those that depend on what is left come last."""
        statements.remove_calls(self._plan)
        statements.remove_configs(self._plan)
        statements.name_fetches(self._plan)
        iterators.return_datasets(self._plan)
        for function, kind in self._places.items():
            if kind == SERVING:
                serving.specs_for_placeholders(self._plan, function)
        last = [each for each in self._code.references if self._is_last(each)]
        for reference in self._code.references:
            if reference.node not in self._plan.done and reference not in last:
                self._one(reference)
        statements.unwrap_scopes(self._plan)
        statements.remove_update_ops(self._plan)
        for reference in last:
            if reference.node not in self._plan.done:
                self._by_hand(reference, answer(reference.path, is_old=True).text)
        edit_imports(self._plan)

    def _functions(self) -> dict[cst.CSTNode, str]:
        """The functions in which names mean something else: those that read input, and those that make receivers."""
        places: dict[cst.CSTNode, str] = {}
        mapped = self._mapped()
        for function in self._code.every((cst.FunctionDef, cst.Lambda)):
            name = function.name.value if isinstance(function, cst.FunctionDef) else ""
            if serving.is_serving(self._plan, function):
                places[function] = SERVING
            elif function in mapped or name in mapped or self._reads(function):
                places[function] = INPUTS
        return places

    def _mapped(self) -> set[object]:
        """Functions, and names of functions, that stages of Datasets call."""
        result: set[object] = set()
        for call in self._code.every(cst.Call):
            function = call.func
            if isinstance(function, cst.Attribute) and function.attr.value in (
                "map", "filter", "flat_map", "interleave", "from_generator", "map_and_batch",
            ):  # fmt: skip
                for argument in call.args:
                    result.update((argument.value, dotted(argument.value)))
        return result - {""}

    def _reads(self, function: cst.CSTNode) -> bool:
        nodes = self._code.every((cst.Name, cst.Attribute), function)
        if any(self._code.path_of(node).startswith(_READERS) for node in nodes):
            return True
        return self._code.uses(("torchest.inputs.",), function)  # rewritten before

    def _place_of(self, reference: Reference) -> str:
        kinds = [self._places.get(node) for node in self._code.around(reference.node)]
        return next((kind for kind in kinds if kind), TENSORS)

    def _is_last(self, reference: Reference) -> bool:
        """Whether it depends on what else stays: a scope in `with`, or the updates that such a scope waits for."""
        if reference.path in statements.UPDATES:
            return True
        return reference.path in statements.SCOPES and any(
            isinstance(node, cst.WithItem) for node in self._code.around(reference.node)
        )

    def _one(self, reference: Reference) -> None:
        """Plans what becomes of one name."""
        path, tables = reference.path, templates()
        plain = f"tf.{path[len('tf.math.') :]}" if path.startswith("tf.math.") else path
        place = self._place_of(reference)
        for key in _parts(path):
            if key in tables["everywhere"]:
                self._by_template(reference, tables["everywhere"][key], path[len(key) :])
                return
        if place == SERVING and path.endswith(serving.PARSES):
            text = (
                "build_parsing_serving_input_receiver_fn makes the receiver of serialized examples."
            )
            self._by_hand(reference, text, "serving")
            return
        if plain in tables[TENSORS]:
            if place == SERVING or plain not in tables.get(place, ()):
                self._without_equal(reference, place)
            else:
                self._by_template(reference, tables[place][plain], "")
            return
        is_old = self._is_old or reference.is_old
        said = answer(path, is_old=is_old)
        if not said.equal:
            self._by_hand(reference, said.text)
        else:
            self._by_equal(reference, said.equal)

    def _without_equal(self, reference: Reference, place: str) -> None:
        said = answer(reference.path, is_old=True).text
        if place == SERVING:
            text = "a serving_input_receiver_fn holds specs: compute in a normalizer_fn or the model_fn."
            self._by_hand(reference, text, "serving")
        else:
            text = f"here elements are NumPy arrays and text, not tensors: use NumPy. {said}"
            self._by_hand(reference, text, "input")

    def _by_template(self, reference: Reference, text: str, below: str) -> None:
        template = Template.of(text)
        call = self._code.call_of(reference)
        if template.is_name or (call is None and template.is_plain):
            code = template.code + below if template.is_name else template.function
            self._rename(reference, code, SAME)
            return
        if call is None or below:
            self._by_hand(reference, answer(reference.path, is_old=True).text)
            return
        try:
            filled(text, call)
        except Unfit as error:
            why = f"{error}. {answer(reference.path, is_old=True).text}"
            self._by_hand(reference, f"{reference.path}: {why}")
            return
        local = self._local(template.code)
        if local is None:
            self._by_hand(reference, f"the program uses a name of {template.code} otherwise.")
            return
        arguments = text.partition("|")[0]
        self._plan.edit(call, lambda updated: filled(f"{arguments}| {local}", updated))
        self._finish(reference, CHANGED, f"{reference.path} becomes {template.function or local}.")

    def _by_equal(self, reference: Reference, equal: str) -> None:
        call = self._code.call_of(reference)
        if call is not None:
            keywords = tuple(each.keyword.value for each in call.args if each.keyword)
            positional = sum(each.keyword is None for each in call.args if not each.star)
            missing = lacks(equal, positional, keywords)
            if missing == "name":
                place = [
                    k
                    for k, each in enumerate(call.args)
                    if each.keyword and each.keyword.value == "name"
                ]
                self._plan.edit(call, lambda updated: without(updated, place))
                missing = lacks(equal, positional, tuple(k for k in keywords if k != "name"))
            if missing:
                self._by_hand(
                    reference, f"{equal} takes the place of {reference.path}, but has no {missing}."
                )
                return
            if (
                equal.startswith(_OPTIMIZERS) and positional
            ):  # their first argument is the parameters
                if positional > 1 or call.args[0].star:
                    text = f"{equal} takes its place, with its options by keyword."
                    self._by_hand(reference, text, "custom-model_fn")
                    return
                self._plan.edit(call, _with_learning_rate)
        self._rename(reference, equal, SAME)
        self._say_defaults(reference, equal)

    def _say_defaults(self, reference: Reference, equal: str) -> None:
        """Says which generation's defaults a premade estimator has, if the program does not tell."""
        name = equal.rpartition(".")[2]
        if self._is_unknown and name.endswith(_PREMADE) and name != "Estimator":
            text = (
                f"{equal} has TensorFlow 2's defaults; torchest.v1.{name} has those of TensorFlow 1. Nothing in the "
                f"program says which it was written for: `--tensorflow 1` says it."
            )
            self._plan.note(reference.node, NUMBERS, text + see("tensorflow-1"), reference.path)

    def _rename(self, reference: Reference, code: str, kind: str) -> None:
        local = self._local(code)
        if local is None:
            self._by_hand(
                reference,
                f"{code} takes its place, but the program uses a part of that name otherwise.",
            )
            return
        self._plan.edit(reference.node, lambda updated: _renamed(updated, local))
        advice = f" {_SLOW}" + see("input") if reference.path in _BY_LINE else ""
        self._finish(reference, kind, f"{reference.path} is {code}.{advice}")

    def _local(self, code: str) -> str | None:
        """Code with the program's own names of modules; None if a name stands for something else."""
        from torchest.migrate.plan import MODULES

        needed = [module for module in MODULES if _uses(code, module)]
        for module in needed:
            root = module.partition(".")[0]
            if module in self._aliases:
                code = _replaced(code, module, self._aliases[module])
            elif root in self._taken:
                return None
            else:
                self._plan.needs.add(module)
        return code

    def _finish(self, reference: Reference, kind: str, text: str) -> None:
        self._plan.done.add(reference.node)
        self._plan.note(reference.node, kind, text, reference.path)
        self._say_numbers(reference)

    def _by_hand(self, reference: Reference, text: str, section: str = "") -> None:
        self._plan.left.append(reference)
        self._plan.done.add(reference.node)
        said = text if reference.path in text else f"{reference.path}: {text}"
        said += see(section or _section(reference.path))
        self._plan.note(reference.node, BY_HAND, said, reference.path)
        self._say_numbers(reference)

    def _say_numbers(self, reference: Reference) -> None:
        difference = DIFFERENCES.get(reference.path)
        if difference:
            self._plan.note(reference.node, NUMBERS, difference + see("numbers"), reference.path)


def _parts(path: str) -> list[str]:
    """A name and the names above it, the longest first."""
    parts = path.split(".")
    return [".".join(parts[:end]) for end in range(len(parts), 1, -1)]


def _uses(code: str, module: str) -> bool:
    import re

    return re.search(rf"(?<![\w.]){re.escape(module)}(?=\.|$)", code) is not None


def _replaced(code: str, module: str, alias: str) -> str:
    import re

    return re.sub(rf"(?<![\w.]){re.escape(module)}(?=\.|$)", alias, code)


def _renamed(updated: cst.CSTNode, code: str) -> cst.CSTNode:
    """A name for another one, with its parentheses."""
    node = cst.parse_expression(code)
    return node.with_changes(lpar=updated.lpar, rpar=updated.rpar)  # type: ignore[attr-defined]


def _with_learning_rate(updated: cst.Call) -> cst.Call:
    """A call of which the first argument is the keyword `learning_rate`."""
    first, *others = updated.args
    named = with_keyword(first, "learning_rate")
    return updated.with_changes(args=[named, *others])


def _section(path: str) -> str:
    """The section of the guide about a name without an equal."""
    sections = {
        "tf.layers": "layers", "tf.keras.layers": "layers", "tf.nn": "layers", "tf.contrib.layers": "layers",
        "tf.get_variable": "layers", "tf.variable_scope": "layers", "tf.train": "custom-model_fn",
        "tf.placeholder": "serving", "tf.saved_model": "serving", "tf.data": "input", "tf.io": "input",
        "tf.summary": "summaries",
    }  # fmt: skip
    return next((sections[key] for key in _parts(path) if key in sections), "by-hand")
