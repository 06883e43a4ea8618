"""What is written is read back as it was; what is no such text is refused in one of the accepted ways."""

import csv
import io
import json
import string
import tomllib
from contextlib import suppress
from pathlib import Path

import click
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from evalsuite.cli._options import by_task, ratios
from evalsuite.data._class_folders import _read_json
from evalsuite.errors import EvalsuiteError, UsageError
from evalsuite.extend import Task
from evalsuite.files.delimited import read_delimited
from evalsuite.gate.policy import Policy, parse_policy
from evalsuite.inputs.class_order import names_given
from evalsuite.networks.checkpoints.header import Header, decode, encode
from evalsuite.networks.checkpoints.normalisation import statistics_for
from evalsuite.parts.data_names import parse_data_name
from evalsuite.parts.names import parse_part, part_name
from evalsuite.parts.registry import names
from evalsuite.records.packing import pack, unpack
from evalsuite.tasks._names import expand
from pruners import Pruner

pytestmark = pytest.mark.slow

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WORD = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]), min_size=1, max_size=12)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SHARE = st.floats(0.001, 0.999).map(lambda value: round(value, 4))
SCALAR = st.one_of(st.integers(-(2**53), 2**53), FINITE, TEXT, st.booleans())


@given(
    arguments=st.dictionaries(TEXT, SCALAR, max_size=4),
    classes=st.none() | st.lists(TEXT, max_size=4).map(tuple),
    shape=st.tuples(*[st.integers(1, 500)] * 3),
    lineage=st.lists(st.dictionaries(TEXT, SCALAR | st.none(), max_size=3), max_size=3).map(tuple),
    attributes=st.dictionaries(TEXT, st.dictionaries(TEXT, SCALAR, max_size=2), max_size=2),
)
def test_headers(arguments, classes, shape, lineage, attributes):
    header = Header(
        arch="lenet5", arguments=arguments, classes=classes, class_count=3, shape=shape, data=None, lineage=lineage,
        attributes=attributes, tensors="0" * 64, written_by="0.1.0",
    )  # fmt: skip
    assert decode(encode(header), Path("own.safetensors")) == header


COLUMN = st.sampled_from(["int32", "int64", "float32", "float64", "uint8", "bool"]).flatmap(
    lambda kind: arrays(kind, array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5))
)


@given(st.dictionaries(TEXT, COLUMN, max_size=4))
def test_observations_in_the_store(columns):
    result = unpack(pack(columns))
    assert result.keys() == columns.keys()
    for name, column in columns.items():
        np.testing.assert_array_equal(result[name], column)
        assert result[name].dtype == column.dtype


VALUE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).map(str.strip)


@given(
    rows=st.integers(2, 4).flatmap(
        lambda width: st.lists(st.lists(VALUE, min_size=width, max_size=width), min_size=1, max_size=5)
    ),
    delimiter=st.sampled_from([",", ";", "\t"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_tables_that_say_their_delimiter(rows, delimiter, encoding):
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
    outcome = read_delimited(f"sep={delimiter}\r\n{written.getvalue()}".encode(encoding), "table.csv")
    assert [list(row.values) for row in outcome.rows] == rows
    assert outcome.delimiter == delimiter


@given(st.lists(WORD.filter(lambda word: word[0] not in "[{"), min_size=2, max_size=6, unique=True))
def test_names_of_outputs_in_all_forms(tmp_path_factory, classes):
    file = tmp_path_factory.getbasetemp() / "names"
    forms = [classes, {name: k for k, name in enumerate(classes)}, {str(k): name for k, name in enumerate(classes)}]
    for text in ["\n".join(classes), *map(json.dumps, forms)]:
        file.write_text(text, encoding="utf-8")
        assert names_given(str(file)) == tuple(classes)


CHOICES = st.one_of(TEXT, st.integers(0, 99), st.lists(TEXT | st.integers(0, 9), max_size=3))


@given(st.dictionaries(TEXT, CHOICES, max_size=4))
def test_mappings_of_folders_to_classes(mapping):
    expected = {k: tuple(map(str, v)) if isinstance(v, list) else (str(v),) for k, v in mapping.items()}
    assert _read_json(json.dumps(mapping)) == expected


@given(first=st.integers(0, 400), steps=st.integers(0, 500), step=st.integers(1, 100))
def test_ranges_of_ratios(first, steps, step):
    numbers = [(first + k * step) / 1000 for k in range(steps + 1)]
    assert ratios(None, None, f"{numbers[0]!r}:{numbers[-1]!r}:{step / 1000!r}") == pytest.approx(tuple(numbers))
    assert ratios(None, None, ",".join(map(repr, numbers))) == tuple(numbers)


@given(st.dictionaries(st.text(string.ascii_lowercase + "/", min_size=1), st.integers(0, 10**9) | SHARE, min_size=1))
def test_values_by_task(values):
    option = click.Option(["--examples-for"])
    assert by_task(None, option, tuple(f"{task}={value}" for task, value in values.items())) == values


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.001, 1)), min_size=3, max_size=3))
def test_normalisations(pairs):
    mean, std = (tuple(numbers) for numbers in zip(*pairs, strict=True))
    spelled = "/".join(",".join(map(repr, part)) for part in (mean, std))
    assert statistics_for(spelled, ((0.0,) * 3, (1.0,) * 3), 3) == (mean, std)


TASKS = st.one_of(
    st.just("clean"),
    st.builds("noise/{}/{}".format, st.sampled_from(["uniform", "gaussian"]), SHARE),
    st.builds("corruption/{}/{}".format, st.sampled_from(["fog", "snow", "contrast"]), st.integers(1, 5)),
    st.builds("adversarial/{}/{}?attack=pgd".format, st.sampled_from(["linf", "l2"]), SHARE),
    SHARE.map(lambda sigma: f"certified/l2/{sigma / 2:g}?sigma={sigma}"),
)
PRUNERS = st.one_of(
    st.sampled_from([name for name in names("pruners") if name not in {"n_m"}]),
    st.builds("filter-norm?p={}".format, st.sampled_from([1, 2])),
)


@given(TASKS)
def test_names_of_tasks(text):
    task = parse_part("evalsuite.tasks", text, Task)
    assert parse_part("evalsuite.tasks", part_name(task), Task) == task
    assert [part_name(each) for each in expand([part_name(task)])] == [part_name(task)]


@given(PRUNERS)
def test_names_of_pruners(text):
    pruner = parse_part("pruners", text, Pruner)
    assert parse_part("pruners", part_name(pruner), Pruner) == pruner


@given(
    name=WORD,
    least=SHARE,
    margin=st.floats(-0.9, 0.9),
    tasks=st.lists(WORD, min_size=1, max_size=3),
    loss=st.floats(0, 1),
)
def test_policies(name, least, margin, tasks, loss):
    tables = [f"[[require]]\ntask = {json.dumps(task, ensure_ascii=False)}\nmax_loss = {loss!r}\n" for task in tasks]
    text = f"[policy]\nname = {json.dumps(name, ensure_ascii=False)}\nmin_deployable = {least!r}\nmargin = {margin!r}\n"
    policy = parse_policy("\n".join([text, *tables]), source="policy.toml")
    assert (policy.terms.name, policy.terms.min_deployable, policy.terms.margin) == (name, least, margin)
    assert [(each.task, each.max_loss) for each in policy.require] == [(task, loss) for task in tasks]
    assert Policy.model_validate(tomllib.loads("\n".join([text, *tables]))) == policy


@given(
    kind=st.sampled_from(["npz", "folder", "csv"]),
    path=st.text(string.ascii_letters + string.digits + "/._- ", min_size=1),
    options=st.dictionaries(
        st.sampled_from(["size", "scale", "target"]), st.text(string.ascii_letters + "0123456789.")
    ),
)
def test_names_of_data(kind, path, options):
    query = "&".join(f"{key}={value}" for key, value in options.items())
    parsed = parse_data_name(f"{kind}:{path}" + (f"?{query}" if query else ""))
    assert (parsed.kind, parsed.argument) == (kind, path)
    assert {key: parsed.option(key) for key in options} == options


READERS = {
    "ratios": lambda text: ratios(None, None, text),
    "by task": lambda text: by_task(None, click.Option(["--margin-for"]), (text,)),
    "tasks": lambda text: expand([text]),
    "normalisation": lambda text: statistics_for(text, ((0.0,) * 3, (1.0,) * 3), 3),
    "pruner": lambda text: parse_part("pruners", text, Pruner),
    "data": parse_data_name,
    "classes": names_given,
    "policy": lambda text: parse_policy(text, source="policy.toml"),
    "header": lambda text: decode(text, Path("own.safetensors")),
}
FRAGMENTS = st.lists(
    st.sampled_from(
        ["clean", "noise/uniform", "magnitude", "1-5", "lottery", "imagenet", "nan", "inf", "1e9", "-1", "²"]
    )
    | st.sampled_from(list("/?=&:,;%~.\\'\"[]{}\0\n\x1b\u202e\ud800 09az"))
    | TEXT,
    max_size=8,
).map("".join)


@pytest.mark.parametrize("reader", READERS)
@given(text=FRAGMENTS)
@settings(max_examples=60)
def test_any_text_is_read_or_refused(reader, text):
    with suppress(EvalsuiteError):
        READERS[reader](text)


@pytest.mark.parametrize("text", ["noise/uniform/1-99999999999", f"corruption/fog/1-{'9' * 5000}", "noise/1-999/1-999"])
def test_ranges_of_tasks_are_bounded(text):
    with pytest.raises(UsageError, match="at most 1000"):
        expand([text])
