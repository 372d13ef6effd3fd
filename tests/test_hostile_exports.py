"""Exported models by somebody who means harm: nothing outside is read or written, and nothing is run."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import signal
import sys
import zipfile

import numpy as np
import onnx
import pytest
import torch

import torchest
from torchest import columns
from torchest.command_line import main
from torchest.errors import DamagedExportError, RefusedFileError
from torchest.export.torchscript import quiet
from torchest.exported.golden import verify
from torchest.serving import inference_v2, tensorflow_rest, triton
from torchest.serving.limits import Limits
from torchest.serving.model import Model
from torchest.utils import files


def serve(path):
    Model(str(path), "1", Limits())


SECRET = b"this must stay where it is 01234"
GRAPH = "model/models/model.json"
WEIGHTS = "model/data/weights/model_weights_config.json"
CONSTANTS = "model/data/constants/model_constants_config.json"


@pytest.fixture(autouse=True)
def _nothing_hangs():
    def stop(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    place = tmp_path_factory.mktemp("model")
    (place / "words.txt").write_text("Basel\nCork\n")
    age = columns.numeric_column("age", normalizer_fn=lambda x: (x - 3.0) / 2.0)
    town = columns.categorical_column_with_vocabulary_file("town", place / "words.txt")
    config = torchest.RunConfig(save_summary_steps=None, tf_random_seed=1)
    model = torchest.LinearClassifier([age, town], model_dir=str(place / "model"), config=config)
    model.train(lambda: ({"age": [1.0, 2.0], "town": ["Basel", "x"]}, [0, 1]), steps=1)
    receiver = torchest.export.build_raw_serving_input_receiver_fn(
        {
            "age": columns.FixedLenFeature((1,), "float32"),
            "town": columns.FixedLenFeature((), str),
        }
    )
    formats = ("onnx", "torchscript", "pt2")
    return model.export_saved_model(place / "exports", receiver, formats=formats)


@pytest.fixture
def hostile(exported, tmp_path):
    """An export to make hostile; beside it a file that nobody may read."""
    (tmp_path / "secret").write_bytes(SECRET)
    shutil.copytree(exported, tmp_path / "a" / "export")
    return tmp_path / "a" / "export"


@pytest.fixture
def canary(hostile, tmp_path):
    """A file that is there if something was run; and a look whether all others are as before."""
    before = {path for path in tmp_path.rglob("*") if hostile not in path.parents}
    yield tmp_path / "canary"
    after = {path for path in tmp_path.rglob("*") if hostile not in path.parents}
    assert after == before
    assert (tmp_path / "secret").read_bytes() == SECRET


def test_what_was_exported_is_loaded_by_all_engines(exported):
    for engine in ("onnx", "torchscript", "pt2"):
        predict = torchest.export.load(exported, engine).signatures["predict"]
        assert predict(age=[1.0, 2.0], town=["Basel", "x"])["logits"].shape == (2, 1)


# ---- model.pt2


def rewrite(path, change):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def in_json(name, change):
    def changed(members, canary):
        value = json.loads(members[name])
        change(value, canary)
        members[name] = json.dumps(value).encode()

    return changed


def pickled_inputs(members, canary):
    members["model/data/sample_inputs/model.pt"] = saved(((Touch(canary),), {}))


def pickled_weight(members, canary):
    config = json.loads(members[WEIGHTS])
    weight = next(iter(config["config"].values()))
    weight["use_pickle"] = True
    members[WEIGHTS] = json.dumps(config).encode()
    members[f"model/data/weights/{weight['path_name']}"] = saved(Touch(canary))


def pickled_constant(members, canary):
    meta = {"is_param": False, "use_pickle": True, "tensor_meta": None}
    config = {"config": {"c": {"path_name": "opaque_obj_0", **meta}}}
    members[CONSTANTS] = json.dumps(config).encode()
    members["model/data/constants/opaque_obj_0"] = pickle.dumps(Touch(canary))


def weights_of_an_older_torch(members, canary):
    members["model/data/weights/model.pt"] = saved({"a": Touch(canary)})


def format_of_an_older_torch(members, canary):
    graph = members[GRAPH]
    members.clear()
    members["version"] = b"8.16"
    members["serialized_exported_program.json"] = graph
    members["serialized_state_dict.pt"] = saved({"a": Touch(canary)})
    members["serialized_constants.pt"] = saved({})
    members["serialized_example_inputs.pt"] = saved(())


def library(members, canary):
    members["model/data/aotinductor/model/x.wrapper.so"] = b"\x7fELF"


def call(target):
    def change(graph, canary):
        nodes = graph["graph_module"]["graph"]["nodes"]
        node = {**nodes[0], "target": target, "name": "x", "outputs": []}
        node["inputs"] = [{"name": "command", "arg": {"as_string": f"touch {canary}"}, "kind": 1}]
        nodes.insert(0, node)

    return in_json(GRAPH, change)


def operator_as_argument(graph, canary):
    node = graph["graph_module"]["graph"]["nodes"][0]
    node["inputs"].append({"name": "f", "arg": {"as_operator": "torch.os.system"}, "kind": 1})


def size(text):
    def change(graph, canary):
        symbols = list(graph["range_constraints"])
        code = json.dumps(text.format(canary=canary, symbol=symbols[0]))[1:-1]
        written = json.dumps(graph)
        symbol = f"Symbol('{symbols[0]}', positive=True, integer=True)"
        assert symbol in written
        graph.update(json.loads(written.replace(symbol, code, 1)))

    return in_json(GRAPH, change)


def key_of_a_range(graph, canary):
    code = f"__import__('os').system('touch {canary}')"
    graph["range_constraints"][code] = {"min_val": 0, "max_val": None}


def guard(graph, canary):
    graph["guards_code"] = [f"__import__('os').system('touch {canary}') == 0"]


def guard_that_ends_its_message(graph, canary):
    graph["guards_code"] = [f"""L['a'] == '\\'") or open("{canary}", "w") #'"""]


def tensor_called_metadata(graph, canary):
    """Notes of torch are called so, too, and are free texts."""
    tensors = graph["graph_module"]["graph"]["tensor_values"]
    renamed = json.loads(json.dumps(graph).replace(json.dumps(next(iter(tensors))), '"metadata"'))
    code = f"__import__('os').system('touch {canary}')"
    sizes = [{"as_expr": {"expr_str": code, "hint": {"as_int": 2}}}]
    renamed["graph_module"]["graph"]["tensor_values"]["metadata"]["sizes"] = sizes
    graph.update(renamed)


def inputs_that_unpack_to_much_more(members, canary):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/version", b"3")
        archive.writestr("archive/data/0", bytes(1 << 29))
    members["model/data/sample_inputs/model.pt"] = inner.getvalue()


def structure(described):
    def change(graph, canary):
        for each in graph["graph_module"]["module_call_graph"]:
            if each["signature"]:
                each["signature"]["out_spec"] = json.dumps([1, described])

    return in_json(GRAPH, change)


def name_of_a_tensor(graph, canary):
    written = json.dumps(graph)
    code = json.dumps(f"tensors_0=open('{canary}', 'w')")[1:-1]
    graph.update(json.loads(written.replace('"tensors_0"', f'"{code}"')))


FACTORY = {"default_factory_module": "antigravity", "default_factory_name": "x", "dict_context": []}
ENUM = json.dumps([{"__enum__": True, "fqn": "antigravity:x", "name": "x"}])
PROGRAMS = {
    "inputs as a pickle": (pickled_inputs, "holds a pickle, 'data/sample_inputs/model.pt', of"),
    "a weight as a pickle": (pickled_weight, "holds '.*' as a pickle"),
    "a constant as a pickle": (pickled_constant, "holds 'c' as a pickle|opaque_obj_0', which is not a tensor"),
    "weights of an older torch": (weights_of_an_older_torch, "holds a pickle, 'data/weights/mod"),
    "a format of an older torch": (format_of_an_older_torch, "is in a format of an older torch"),
    "a library": (library, r"holds 'data/aotinductor/model/x\.wrapper\.so', which is not a tensor of"),
    "a function of Python": (call("torch.os.system"), "calls 'torch.os.system', which is not an op"),
    "another one": (call("_operator.methodcaller"), "calls '_operator.methodcaller', which"),
    "a hidden one": (call("torch.ops.aten.__class__.mro"), "calls 'torch.ops.aten.__class__"),
    "a library by name": (call("torch.ops.load_library"), "calls 'torch.ops.load_library', whi"),
    "an operator that reads": (call("torch.ops.aten.from_file.default"), "calls 'torch.ops.aten.f"),
    "an operator that writes": (call("torch.ops.aten.save.default"), "calls 'torch.ops.aten.save"),
    "a function as an argument": (in_json(GRAPH, operator_as_argument), "calls 'torch.os.system"),
    "code as a size": (size("__import__('os').system('touch {canary}')"), "has .* as a size"),
    "a method as a size": (size("Symbol('{symbol}').func.__class__"), "has .* as a size"),
    "a text that is evaluated": (size("Max('open(1)', 2)"), "has .* as a size"),
    "a number without end": (size("Pow(Integer(9), Integer(999999999))"), "has .* as a size"),
    "a tower of powers": (size("Pow(Symbol('a') - Symbol('a') + 9, 9)**9"), "has .* as a size"),
    "a shift without end": (size("Integer(1) << Integer(99999999999)"), "has .* as a size"),
    "a text without end": (size("Max('a' * 99999999999, 2)"), "has .* as a size"),
    "a tuple without end": (size("Max((1, 2) * 99999999999, 2)"), "has .* as a size"),
    "a tensor called metadata": (in_json(GRAPH, tensor_called_metadata), "has .* as a size"),
    "an archive in it": (inputs_that_unpack_to_much_more, "unpacks to 536,"),
    "code as the key of a range": (in_json(GRAPH, key_of_a_range), 'has something called "__imp'),
    "code as a guard": (in_json(GRAPH, guard), "has .* as a size"),
    "a guard that ends its text": (in_json(GRAPH, guard_that_ends_its_message), "has .* as a size"),
    "a factory": (
        structure({"type": "collections.defaultdict", "context": FACTORY, "children_spec": []}),
        "makes a 'collections.defaultdict' of its inputs or outputs",
    ),
    "an enumeration": (
        structure({"type": "builtins.dict", "context": ENUM, "children_spec": []}),
        "makes a 'builtins.dict' of its inputs or outputs",
    ),
    "code as a name": (in_json(GRAPH, name_of_a_tensor), 'has something called "tensors_0=open'),
}  # fmt: skip


@pytest.mark.parametrize("case", PROGRAMS)
def test_a_program_that_would_run_something_else_is_not_loaded(case, hostile, canary):
    change, message = PROGRAMS[case]
    rewrite(hostile / "model.pt2", lambda members: change(members, canary))
    with pytest.raises(RefusedFileError, match=rf"model\.pt2' is not loaded: it {message}"):
        torchest.export.load(hostile, "pt2")
    assert not {"antigravity"} & set(sys.modules)


@pytest.mark.parametrize("which", ["pt2", "torchscript"])
def test_neither_load_nor_the_command_choose_a_program_of_torch(
    hostile, canary, tmp_path, capsys, which
):
    rewrite(hostile / "model.pt2", lambda members: pickled_inputs(members, canary))
    for name in {"model.onnx", "model.pt", "model.pt2"} - {f"model.pt{'2' * (which == 'pt2')}"}:
        (hostile / name).unlink()
    with pytest.raises(ValueError, match=r"has no model\.onnx, the default engine"):
        torchest.export.load(hostile)
    table = hostile / "rows.csv"
    table.write_text("age,town\n1.0,Basel\n")
    command = ["predict", str(hostile), "--input", str(table), "--output", str(hostile / "b.csv")]
    with pytest.raises(SystemExit, match="2"):
        main(command)
    assert "has no model.onnx, the default engine" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 1000, pickle.dumps([1])])
@pytest.mark.parametrize(("name", "engine"), [("model.pt2", "pt2"), ("model.pt", "torchscript")])
def test_what_is_no_archive_is_called_damaged(hostile, name, engine, content):
    (hostile / name).write_bytes(content)
    with pytest.raises(DamagedExportError, match=rf"{name}' is damaged"):
        torchest.export.load(hostile, engine)


# ---- TorchScript


def with_statement(path, statement, folder="code"):
    def change(members):
        (name,) = [name for name in members if name.endswith("code/__torch__.py")]
        before, return_, after = members.pop(name).decode().rpartition("    return")
        changed = f"{before}    {statement}\n{return_}{after}".encode()
        members[name.replace("code", folder)] = changed

    rewrite(path, change)


@pytest.mark.parametrize(
    "statement",
    [
        'torch.save(x, "{canary}")',
        'ops.aten.save(x, "{canary}")',
        'torch.\\\n    save(x, "{canary}")',
        '(torch).save(x, "{canary}")',
        't = torch\n    t.save(x, "{canary}")',
        'getattr(torch, "save")(x, "{canary}")',
        'getattr(torch, "s\\141ve")(x, "{canary}")',
        'getattr(torch, """s\\141ve""")(x, "{canary}")',
        'getattr(torch, "sa" "ve")(x, "{canary}")',
        'getattr(torch, "sa"\'ve\')(x, "{canary}")',
        'getattr(torch, "sa" # "\n    "ve")(x, "{canary}")',
        'getattr(getattr(ops, "aten"), "sa" "ve")(x, "{canary}")',
        '_1 = torch.from_file("{canary}", True, 4)',
    ],
)
@pytest.mark.parametrize("engine", ["torchscript", "pt2"])
def test_torchscript_that_would_read_or_write_files_is_not_loaded(
    hostile, canary, statement, engine
):
    with_statement(hostile / "normalizers" / "age.pt", statement.format(canary=canary))
    with pytest.raises(
        RefusedFileError, match=r"age\.pt' is not loaded: it names .*which may read"
    ):
        torchest.export.load(hostile, engine)
    onnx_answers = torchest.export.load(hostile).signatures["predict"]
    assert onnx_answers(age=[1.0], town=["Basel"])["logits"].shape == (1, 1)


@pytest.mark.parametrize("folder", ["CODE", "Code"])
def test_torchscript_is_looked_into_whatever_the_case_of_its_folder(hostile, canary, folder):
    statement = f'torch.save(x, "{canary}")'
    with_statement(hostile / "normalizers" / "age.pt", statement, folder)
    with pytest.raises(RefusedFileError, match=r"age\.pt' is not loaded: it names 'save'"):
        torchest.export.load(hostile, "torchscript")


def test_torchscript_may_have_modules_whose_names_are_numbers(hostile):
    layers = torch.nn.Sequential(torch.nn.Sequential(torch.nn.Identity()))
    with quiet():
        torch.jit.save(
            torch.jit.trace(layers, torch.ones(2, 1)), hostile / "normalizers" / "age.pt"
        )
    with zipfile.ZipFile(hostile / "normalizers" / "age.pt") as archive:
        assert any(b"getattr(" in archive.read(name) for name in archive.namelist())
    torchest.export.load(hostile, "torchscript").signatures["predict"](age=[1.0], town=["Basel"])


def test_an_archive_that_unpacks_to_much_more_is_not_loaded(hostile):
    with zipfile.ZipFile(hostile / "model.pt", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/code/x.py", b" " * (1 << 29))
    with pytest.raises(RefusedFileError, match=r"model\.pt' is not loaded: it unpacks to 536,"):
        torchest.export.load(hostile, "torchscript")


# ---- columns.json


def in_file(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


ELSEWHERE = [
    "../../../secret", "/dev/zero", "/etc/passwd", "a/../../../../secret", "..\\secret", "C:secret", "a\0", "", ".", 3
]  # fmt: skip


@pytest.mark.parametrize("name", ELSEWHERE)
@pytest.mark.parametrize("engine", ["torchscript", "pt2"])
def test_vocabularies_elsewhere_are_not_read(hostile, canary, name, engine):
    def change(described):
        (town,) = [each for each in described["columns"] if "vocabulary_file" in each]
        town["vocabulary_file"] = name

    in_file(hostile / "columns.json", change)
    with pytest.raises(RefusedFileError, match="not the name of a file inside of it"):
        torchest.export.load(hostile, engine)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_normalizers_elsewhere_are_not_run(hostile, canary, name):
    def change(described):
        (age,) = [each for each in described["columns"] if "normalizer_fn" in each]
        age["normalizer_fn"] = {"function": name}

    in_file(hostile / "columns.json", change)
    with pytest.raises(RefusedFileError, match="not the name of a file inside of it"):
        torchest.export.load(hostile, "torchscript")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("type", "Estimator"), ("type", None), ("type", []), ("dtype", {"dtype": "load"}), ("dtype", {"dtype": "x"}),
        ("dtype", {"code": "x"}), ("shape", {}), ("nothing", 1), ("shape", {"tuple": 3}), ("shape", {"bytes": 1})
    ],
)  # fmt: skip
def test_columns_that_are_none_are_damage(hostile, key, value):
    in_file(
        hostile / "columns.json", lambda described: described["columns"][0].update({key: value})
    )
    with pytest.raises(ValueError, match=r"columns\.json' is damaged|normalizers' has a file"):
        torchest.export.load(hostile, "torchscript")


@pytest.mark.parametrize("together", [3, [3], [[9]], [["town"]], [[0, 1]]])
def test_columns_read_together_that_are_no_sequences_are_damage(hostile, together):
    in_file(hostile / "columns.json", lambda described: described.update(together=together))
    with pytest.raises(ValueError, match=r"columns\.json' is damaged"):
        torchest.export.load(hostile, "torchscript")


# ---- model.onnx


def with_external_tensor(directory, location, place):
    model = onnx.load(directory / "model.onnx")
    tensor = onnx.TensorProto(name="outside", data_type=onnx.TensorProto.FLOAT, dims=[8])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "32"}.items():
        tensor.external_data.add(key=key, value=value)
    branches = onnx.helper.make_graph([], "branch", [], [])
    constant = onnx.helper.make_node("Constant", [], ["outside"])
    constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(tensor)
    if place == "initializer":
        model.graph.initializer.append(tensor)
    elif place == "constant":
        model.graph.node.insert(0, constant)
    elif place == "sparse":
        model.graph.sparse_initializer.add().values.CopyFrom(tensor)
    elif place == "function":
        model.functions.add(name="f", domain="d").node.append(constant)
    else:
        branches.node.append(constant)
        model.graph.node.append(
            onnx.helper.make_node("If", [], [], then_branch=branches, else_branch=branches)
        )
    (directory / "model.onnx").write_bytes(model.SerializeToString())


@pytest.mark.parametrize("place", ["initializer", "constant", "sparse", "function", "branch"])
@pytest.mark.parametrize("location", ["../../secret", "/dev/zero", "x/../../../secret"])
def test_tensors_elsewhere_are_not_read(hostile, canary, capsys, location, place):
    with_external_tensor(hostile, location, place)
    for use in (torchest.export.load, verify, serve):
        with pytest.raises(RefusedFileError, match="not the name of a file inside of it"):
            use(hostile)


def test_tensors_in_memory_are_not_read(hostile, canary):
    with_external_tensor(hostile, "*/_ORT_MEM_ADDR_/*", "initializer")
    for use in (torchest.export.load, verify, serve):
        with pytest.raises(
            RefusedFileError, match=r"has tensors in '\*/.*', but there is no such file"
        ):
            use(hostile)


def test_tensors_beside_a_model_are_read(hostile):
    with_external_tensor(hostile, "beside", "initializer")
    (hostile / "beside").write_bytes(SECRET)
    assert verify(hostile) == []


@pytest.mark.parametrize("content", [b"location", b"\x3a\xff\xff\x01location", b"\x0blocation"])
def test_an_onnx_file_that_is_none_is_damage(hostile, content):
    (hostile / "model.onnx").write_bytes(content)
    with pytest.raises(DamagedExportError, match=r"model\.onnx' is damaged"):
        torchest.export.load(hostile)


# ---- the directory


NAMES = [
    "signatures.json", "columns.json", "golden.json", "model.onnx", "model.pt", "model.pt2", "assets/words.txt",
    "normalizers/age.pt", "another"
]  # fmt: skip


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def link(path):
    path.symlink_to(path.parents[3 if path.parent.name == "export" else 4] / "secret")


@pytest.mark.parametrize("make", [pipe, device, link])
@pytest.mark.parametrize("name", NAMES)
def test_an_export_of_something_else_than_files_is_not_read(hostile, canary, capsys, name, make):
    (hostile / name).unlink(missing_ok=True)
    make(hostile / name)
    uses = [torchest.export.load, verify, serve, lambda path: torchest.export.load(path, "pt2")]
    for use in uses:
        with pytest.raises(RefusedFileError, match=rf"{name}' is a (named pipe|link to)"):
            use(hostile)
    with pytest.raises(SystemExit, match="2"):
        main(["show", str(hostile)])
    assert f"{name}' is a " in capsys.readouterr().err


def test_files_of_an_implausible_size_are_not_read(hostile):
    os.truncate(hostile / "golden.json", 2**34)
    with pytest.raises(RefusedFileError, match=r"has 17,179,869,184 bytes, more than"):
        verify(hostile)


# ---- signatures.json and golden.json


@pytest.mark.parametrize("name", ["signatures.json", "golden.json", "columns.json"])
@pytest.mark.parametrize("content", ["[" * 200_000, '{"a":' * 200_000, "3", "", "\0", '"a"', "{}"])
def test_json_that_is_none_is_damage(hostile, capsys, name, content):
    (hostile / name).write_text(content)
    use = verify if name == "golden.json" else lambda path: torchest.export.load(path, "pt2")
    with pytest.raises(ValueError, match=r"is damaged|has only the description of a model"):
        use(hostile)
    if name == "signatures.json":
        with pytest.raises(SystemExit, match="2"):
            main(["show", str(hostile)])
        assert "is damaged" in capsys.readouterr().err


def every_change(value, place=()):
    """Ways to each value in JSON."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield (*place, key)
            yield from every_change(value[key], (*place, key))


def write_changed(path, original, way, other):
    """Writes JSON in which the value at the end of a way is another one, or is left out."""
    changed = json.loads(json.dumps(original))
    *keys, last = way
    within = changed
    for key in keys:
        within = within[key]
    if other == "left out":
        del within[last]
    else:
        within[last] = other
    path.write_text(json.dumps(changed))


@pytest.mark.parametrize("name", ["signatures.json", "golden.json"])
@pytest.mark.parametrize("other", ["left out", None, 2**70, -1, "../../secret", [], {}, [[]], True])
def test_whatever_is_wrong_in_it_gives_one_sentence(hostile, capsys, name, other):
    original = json.loads((hostile / name).read_text())
    ways = list(every_change(original))
    for way in ways[:: max(1, len(ways) // 12)]:
        write_changed(hostile / name, original, way, other)
        for use in (torchest.export.load, verify, serve):
            try:
                use(hostile)
            except ValueError as error:
                assert str(hostile) in str(error), way  # noqa: PT017
        with pytest.raises(SystemExit):
            main(["show", str(hostile)])
    capsys.readouterr()


WRONG = [
    "left out",
    None,
    True,
    -1,
    2**70,
    1.5,
    "x",
    "../../secret",
    "a" * 5000,
    [],
    {},
    ["x"],
    {"a": 1},
]


def fields(described):
    """Ways to the fields that are read when a model is asked."""
    for kind in ("inputs", "outputs"):
        yield (kind,)
        for name in described[kind][0]:
            yield (kind, 0, name)
    yield ("examples",)
    for name in described["signatures"]["predict"]:
        yield ("signatures", "predict", name)
    yield ("signatures", "predict", "outputs", "logits")


@pytest.mark.parametrize("other", WRONG, ids=lambda value: repr(value)[:20])
def test_a_field_of_signatures_that_no_export_has_is_told_before_a_model_is_asked(hostile, other):
    original = json.loads((hostile / "signatures.json").read_text())
    for way in fields(original):
        write_changed(hostile / "signatures.json", original, way, other)
        for use in (describe_all, ask):
            try:
                use(hostile)
            except ValueError as error:
                assert len(str(error)) < 1000  # noqa: PT017


def describe_all(path):
    model = Model(str(path), "1", Limits())
    tensorflow_rest.metadata("model", model)
    inference_v2.metadata("model", model, ["1"])
    triton.config(str(path))


def ask(path):
    predict = torchest.export.load(path).signatures["predict"]
    if {"age", "town"} <= {each.name for each in torchest.export.load(path).inputs}:
        predict(age=[1.0, 2.0], town=["Basel", "x"])


def test_golden_rows_without_values_are_not_counted_for_ever(hostile):
    def change(golden):
        for array in (*golden["inputs"].values(), *golden["outputs"].values()):
            array.update(shape=[10**9, 0], values=[])

    in_file(hostile / "golden.json", change)
    with pytest.raises(DamagedExportError, match="is damaged"):
        verify(hostile)


def test_messages_of_a_damaged_export_cannot_move_the_cursor_of_a_terminal(hostile, capsys):
    in_file(
        hostile / "signatures.json", lambda value: value["onnx"].update(onnxruntime="99\x1b[2J")
    )
    with pytest.raises(SystemExit, match="2"):
        main(["verify", str(hostile)])
    assert "\\x1b[2J" in capsys.readouterr().err


def test_names_cannot_move_the_cursor_of_a_terminal(hostile, capsys):
    in_file(hostile / "signatures.json", lambda value: value["versions"].update({"a\x1b[2J": "1"}))
    with pytest.raises(SystemExit, match="0"):
        main(["show", str(hostile)])
    out = capsys.readouterr().out
    assert "a\\x1b[2J 1" in out
    assert "\x1b" not in out


def test_directories_whose_names_are_not_numbers_of_seconds_are_no_exports(hostile):
    for name in ("²", "a", "1e3"):
        shutil.copytree(hostile, hostile.parent / name)
    assert torchest.export.directory.exports_in(hostile.parent) == []


def test_a_sound_export_answers_from_an_object_store(exported):
    url = "memory://hostile/exports/1"
    files.upload(exported, url)
    assert verify(url) == []
    actual = torchest.export.load(url).signatures["predict"](age=[1.0], town=["Basel"])
    here = torchest.export.load(exported).signatures["predict"](age=[1.0], town=["Basel"])
    np.testing.assert_array_equal(actual["logits"], here["logits"])
    files.remove_directory(url)
