import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.errors import UnknownNameError, UsageError
from evalsuite.gate import policy as module
from evalsuite.gate.policy import Policy, Requirement, Terms, parse_policy, read_policy

COMPLETE = """
[policy]
name = "release"
network = "deployable"
min_deployable = 0.5
min_examples = 1000
margin = 0.005
confidence = 0.95

[[require]]
task = "corruption/*/3"
min_commensurate = 0.5

[[require]]
task = "clean"
measure = "worst_class"
max_loss = 0.2
verdict = "commensurate"
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_complete_policy(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(COMPLETE, encoding=encoding)
    result = read_policy(path)
    assert result.terms == Terms(name="release", min_deployable=0.5, min_examples=1000, margin=0.005, confidence=0.95)
    assert result.require == (
        Requirement(task="corruption/*/3", min_commensurate=0.5),
        Requirement(task="clean", measure="worst_class", max_loss=0.2, verdict="commensurate"),
    )


def test_a_policy_can_be_made_in_python() -> None:
    made = Policy(require=(Requirement(task="clean", max_loss=0.2),))
    assert made == parse_policy('[[require]]\ntask = "clean"\nmax_loss = 0.2', source="x")


def test_whole_numbers_are_numbers() -> None:
    assert parse_policy('[[require]]\ntask = "a"\nmax_loss = 0', source="x").require[0].max_loss == 0


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["policy.toml", "[policy]", "[[require]]", "neither"]),
        ("[policy]\nname = 'x'", ["policy.toml", "neither"]),
        ("min_deployable", ["policy.toml", "expected TOML"]),
        ("x = " + "9" * 5000, ["policy.toml", "expected TOML"]),
        ("[policy]\nmin_deployable = 0", ["[policy]", "min_deployable", "above 0 and below 1", "got 0"]),
        ("[policy]\nmin_deployable = 1.0", ["min_deployable", "above 0 and below 1", "got 1.0"]),
        ("[policy]\nmin_deployable = nan", ["min_deployable", "got nan"]),
        ("[policy]\nmin_deployable = '0.5'", ["min_deployable", "got '0.5'"]),
        ("[policy]\nmin_deployable = true", ["min_deployable", "got True"]),
        ("[policy]\nmin_examples = 0\nmin_deployable = 0.5", ["min_examples", "a whole number from 1", "got 0"]),
        ("[policy]\nmin_examples = 10.5\nmin_deployable = 0.5", ["min_examples", "a whole number", "got 10.5"]),
        ("[policy]\nconfidence = 95\nmin_deployable = 0.5", ["confidence", "above 0.5 and below 1", "got 95"]),
        ("[policy]\nmargin = 1\nmin_deployable = 0.5", ["margin", "above -1 and below 1", "got 1"]),
        ("[policy]\nname = ''\nmin_deployable = 0.5", ["name", "not empty", "got ''"]),
        ("[policy]\nfamily = 'a'\nnetwork = 'b'\nmin_deployable = 0.5", ["[policy]", "got both", "'a'", "'b'"]),
        ("policy = 3", ["[policy]", "expected a table", "min_deployable", "got 3"]),
        ("require = 3", ["[[require]]", "expected a table", "max_loss", "got 3"]),
        ("require = [3]", ["[[require]] 1", "expected a table", "got 3"]),
        ("[[require]]\nmax_loss = 0.5", ["[[require]] 1", "task", "got nothing"]),
        ("[[require]]\ntask = 'a'", ["[[require]] 1", "min_commensurate, max_loss or verdict", "none"]),
        (
            "[[require]]\ntask='a'\nmax_loss=0.1\n[[require]]\ntask='a'\nmax_loss=1.5",
            ["[[require]] 2", "0 to 1", "1.5"],
        ),
        ("[[require]]\ntask='a'\nverdict='ok'", ["verdict", "'commensurate'", "got 'ok'"]),
        ("[[require]]\ntask='a'\nmin_commensurate=1", ["min_commensurate", "above 0 and below 1", "got 1"]),
    ],
)
def test_one_message_names_file_field_and_what_is_accepted(text: str, parts: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        parse_policy(text, source="policy.toml")
    message = str(refused.value)
    assert message.startswith("policy.toml: ")
    assert "\n" not in message
    assert [part for part in parts if part not in message] == []
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "hint", "expected"),
    [
        ("[policy]\nmin_deploy = 0.5", "min_deployable", "confidence"),
        ("[polcy]\nmin_deployable = 0.5", "policy", "require"),
        ("[[require]]\ntask = 'a'\nmax_los = 0.2", "max_loss", "min_commensurate"),
        ("[[require]]\ntask = 'a'\nmax_loss = 0.2\nmeasures = 'error'", "measure", "verdict"),
    ],
)
def test_unknown_keys_are_told_with_the_nearest(text: str, hint: str, expected: str) -> None:
    with pytest.raises(UnknownNameError, match=f"in policy.toml.*Did you mean '{hint}'.*{expected}"):
        parse_policy(text, source="policy.toml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected a policy file, got .*none\.toml"):
        read_policy(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="expected a policy file"):
        read_policy(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(UsageError, match=r"bytes\.toml: expected TOML in UTF-8"):
        read_policy(tmp_path / "bytes.toml")


def test_every_key_has_its_words() -> None:
    assert set(module._ACCEPTED) == {*Terms.model_fields, *Requirement.model_fields}


values = st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=5), st.just([]), st.just({}))


@given(st.sampled_from([*Terms.model_fields, *Requirement.model_fields]), values, st.booleans())
def test_no_value_makes_anything_but_a_policy_or_a_usage_error(key: str, value: object, inside: bool) -> None:
    # TOML's own spelling of the value; what repr says differently is a syntax error, which is told as well
    spelled = str(value).lower() if isinstance(value, bool | float) else repr(value)
    table = "[[require]]\ntask = 'a'\nmax_loss = 0.5" if inside else "[policy]\nmin_deployable = 0.5"
    with contextlib.suppress(UsageError):
        assert isinstance(parse_policy(f"{table}\n{key} = {spelled}", source="x"), Policy)


def test_the_policy_of_the_documentation_is_accepted() -> None:
    text = (Path(__file__).parents[2] / "docs" / "gate.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    assert len(parse_policy(example, source="docs/gate.md").require) == 3
