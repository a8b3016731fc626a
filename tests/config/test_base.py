import pytest
from pydantic import Field

from xray_chest_detection.cli.errors import exit_on_error
from xray_chest_detection.config.base import StrictModel, from_command_line, read_config, read_yaml
from xray_chest_detection.errors import ConfigError, UsageError


class Inner(StrictModel):
    rate: float = Field(0.1, gt=0, lt=1)
    steps: tuple[int, ...] = (1, 2)


class Outer(StrictModel):
    name: str
    epochs: int = 100
    amp: bool = True
    inner: Inner = Inner()
    other: Inner | None = None


def parse(path, *overrides):
    return from_command_line(Outer, [str(path), *overrides], prog="train.py", description="Train.")


@pytest.fixture
def write(tmp_path):
    def write_yaml(content):
        path = tmp_path / "x.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_yaml


def test_defaults_yaml_and_command_line_win_in_this_order(write):
    path = write("name: a\nepochs: 5\ninner: {rate: 0.2}\n")
    config = parse(path, "--epochs", "7", "--inner.steps", "3", "4")
    assert config == Outer(name="a", epochs=7, inner=Inner(rate=0.2, steps=(3, 4)))


def test_a_flag_can_be_switched_off(write):
    assert parse(write("name: a"), "--no-amp").amp is False


def test_values_do_not_change_after_validation(write):
    with pytest.raises(ValueError, match="frozen"):
        parse(write("name: a")).epochs = 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"x\.yaml: missing key 'name'$"),
        ("- 1", r"x\.yaml: expected a mapping of keys to values, got list$"),
        ("7", r"x\.yaml: expected a mapping of keys to values, got int$"),
        ("name: a\nepoch: 5", r"x\.yaml: unknown key 'epoch' \(did you mean 'epochs'\?\)$"),
        ("name: a\nzzz: 5", r"x\.yaml: unknown key 'zzz' \(known: name, epochs, amp, inner, other\)$"),
        ("name: a\ninner: {rat: 5}", r"x\.yaml: unknown key 'inner\.rat' \(did you mean 'rate'\?\)$"),
        ("name: a\nother: {step: [1]}", r"x\.yaml: unknown key 'other\.step' \(did you mean 'steps'\?\)$"),
        ("name: a\nepochs: many", r"x\.yaml: epochs: input should be a valid integer.*, got 'many'$"),
        ("name: a\ninner: {rate: 2}", r"x\.yaml: inner\.rate: input should be less than 1, got 2$"),
        ("epochs: many\nzzz: 1", r"x\.yaml: .* \(and 2 more\)$"),
        ("name: [", r"x\.yaml: line \d: not valid YAML \(.*\)$"),
        (b"\xff\xfe\x00\x01", r"x\.yaml: (line \d+: )?not valid YAML"),
    ],
)
def test_a_wrong_file_is_one_line(write, content, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(Outer, write(content))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        ConfigError, match=r"none\.yaml: cannot be read \(No such file or directory\); give the path of"
    ):
        read_yaml(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "many"], r"x\.yaml with the command line's changes: epochs: input should be a valid integer"),
        (["--inner.rate", "3"], r"inner\.rate: input should be less than 1, got '3'$"),
        (["--inner.rate=-3"], r"inner\.rate: input should be greater than 0, got '-3'$"),
        (["--amp", "perhaps"], r"amp: input should be a valid boolean.*, got 'perhaps'$"),
    ],
)
def test_a_wrong_value_on_the_command_line_is_one_line(write, arguments, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse(write("name: a"), *arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epoch", "1"], r"^--epoch: unknown option \(did you mean --epochs\?\)$"),
        (["--inner.stps", "1"], r"^--inner\.stps: unknown option \(did you mean --inner\.steps\?\)$"),
        (["--name.x", "1"], r"^--name\.x: unknown option; 'name' has no parts$"),
        (["--epochs"], r"^--epochs: needs a value$"),
        (["--epochs", "1", "2"], r"^--epochs: takes one value, got 1 2$"),
        (["--no-amp", "1"], r"^--no-amp: takes no value, got '1'$"),
        (["--epochs", "1", "--", "x"], r"^unexpected argument '--'; options start with --, see --help$"),
        (["second.yaml"], r"^unexpected argument 'second\.yaml'; options start with --, see --help$"),
    ],
)
def test_wrong_usage_names_the_option(write, arguments, message):
    with pytest.raises(UsageError, match=message):
        parse(write("name: a"), *arguments)


def test_wrong_usage_is_exit_status_2_and_one_line(write, capsys):
    with pytest.raises(SystemExit) as caught, exit_on_error():
        parse(write("name: a"), "--epoch", "1")
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: --epoch: unknown option (did you mean --epochs?)\n"


def test_flags_nested_models_and_none(write):
    path = write("name: a\nother: {rate: 0.3, steps: [7]}\n")
    assert parse(path, "--other.rate", "0.4").other == Inner(rate=0.4, steps=(7,))
    assert parse(path, "--other", "None").other is None
    assert parse(write("name: a\namp: false"), "--amp").amp is True
    assert parse(write("name: a"), "--inner.steps=5").inner.steps == (5,)


def test_help_lists_the_keys(capsys):
    with pytest.raises(SystemExit) as caught:
        parse("x.yaml", "--help")
    assert caught.value.code == 0
    assert "--inner.rate" in capsys.readouterr().out
