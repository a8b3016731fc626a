"""What is uploaded is what git would leave in, and App Engine's limits are named before it does."""

import subprocess
from pathlib import Path, PurePosixPath

import pytest

from xray_chest_detection.deploy.settings import Settings
from xray_chest_detection.deploy.upload import MAX_FILES, MIB, Upload, copy_upload, find_upload, problems
from xray_chest_detection.errors import DeployError

ROOT = Path(__file__).parents[2]
SETTINGS = Settings("3.13", "F2", 768_000_000, "gunicorn demo:app", {}, ("web/static",))
FILES = ("a.py", "b.log", "keep.log", "x/a.py", "x/y/a.py", "x/y/b.log", "z/a.py", "z/keep/a.py", "z/.hidden", "!odd")
NEEDED = {PurePosixPath(name): 10 for name in ("app.yaml", "requirements.txt", "web/static/page.css")}


@pytest.mark.parametrize(
    "patterns",
    [
        "",
        "*.log\n!keep.log\n",
        "/*\n!/x/\n/x/*\n!/x/y/\n",
        "z/\n!z/keep/\n!z/keep/a.py\n",  # nothing comes back out of a folder that is left out
        "z/*\n!z/keep/\n",
        "x/**/a.py\n# a comment\n\n\\!odd\n",
        "**/y\n",
        "/a.py\n",
    ],
)
def test_files_are_those_that_git_would_add(tmp_path: Path, patterns: str) -> None:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".gcloudignore").write_text(patterns + "/.git/\n/.gcloudignore\n")
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    listed = subprocess.run(
        [*git, "-c", "core.quotepath=off", "ls-files", "--others", "--exclude-from=.gcloudignore"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(str(name) for name in find_upload(tmp_path).files) == sorted(listed.stdout.splitlines())


def test_the_project_uploads_what_the_page_needs_and_nothing_else() -> None:
    names = {str(name) for name in find_upload(ROOT).files}
    assert {"app.yaml", "demo.py", "gunicorn.conf.py", "requirements.txt", "configs/demo_cloud.yaml"} <= names
    assert "xray_chest_detection/config/data.py" in names
    assert not {name for name in names if name.endswith((".pt", ".pyc")) or name.startswith(("tests", "runs", ".venv"))}
    rooms = {PurePosixPath(name).parts[1] for name in names if name.startswith("xray_chest_detection/")}
    assert not rooms & {"detect", "classify", "data", "report", "deploy"}


def test_files_are_copied_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "from" / "x").mkdir(parents=True)
    (tmp_path / "from" / "x" / "a.py").write_text("1")
    copy_upload(tmp_path / "from", [PurePosixPath("x/a.py")], tmp_path / "to")
    assert [path.relative_to(tmp_path / "to") for path in (tmp_path / "to").rglob("*.py")] == [Path("x/a.py")]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, []),
        ({"m.onnx": 32 * MIB}, []),
        ({"m.onnx": 45 * MIB}, ["m.onnx: 45.0 MiB, a file may have 32 MiB; export the model as fp16, or leave"]),
        ({f"{n}.txt": 1 for n in range(MAX_FILES)}, ["10,003 files, a version may have 10,000; leave some out"]),
    ],
)
def test_sizes_and_counts(files: dict[str, int], expected: list[str]) -> None:
    found = problems(Upload(NEEDED | {PurePosixPath(name): size for name, size in files.items()}), SETTINGS)
    assert len(found) == len(expected)
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", ["requirements.txt", "web/static/page.css"])
def test_what_app_engine_needs_must_be_there(name: str) -> None:
    left = {file: size for file, size in NEEDED.items() if str(file) != name}
    missing = "web/static" if "static" in name else name
    assert problems(Upload(left), SETTINGS) == [
        f"{missing}: needed by App Engine, but .gcloudignore leaves it out or it does not exist"
    ]


def test_a_project_without_the_file(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match=r"\.gcloudignore: cannot be read .* gcloud uploads nearly everything$"):
        find_upload(tmp_path)


def test_an_instruction_of_gcloud(tmp_path: Path) -> None:
    (tmp_path / ".gcloudignore").write_text("*.pyc\n#!include:.gitignore\n")
    with pytest.raises(DeployError, match=r"line 2: '#!include:.gitignore' is not understood here; write the patterns"):
        find_upload(tmp_path)
