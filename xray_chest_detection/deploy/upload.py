"""Which files `gcloud app deploy` uploads, and whether App Engine takes them.

Source: `gcloud topic gcloudignore` (the syntax is that of .gitignore),
https://cloud.google.com/appengine/docs/standard/quotas (32 MiB a file, 10,000 files a version).
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pathspec import GitIgnoreSpec

from xray_chest_detection.deploy.settings import FILE_NAME, Settings
from xray_chest_detection.errors import DeployError

IGNORE_FILE = ".gcloudignore"
MIB = 1024 * 1024
MAX_FILE_BYTES = 32 * MIB
MAX_FILES = 10_000
_DIRECTIVE = "#!"


@dataclass(frozen=True)
class Upload:
    """The files of a deployment.

    Attributes:
        files: Path below the project to size in bytes.
    """

    files: dict[PurePosixPath, int]

    @property
    def total_bytes(self) -> int:
        """Size of all files."""
        return sum(self.files.values())

    @property
    def largest(self) -> tuple[PurePosixPath, int]:
        """The largest file and its size."""
        return max(self.files.items(), key=lambda item: item[1])


def find_upload(root: Path) -> Upload:
    """List what would be uploaded from a project.

    A folder that is left out is left out with all it holds, whatever later lines say, as git does it.

    Raises:
        DeployError: There is no `.gcloudignore`, or it uses an instruction of gcloud that is not understood here.
    """
    path = root / IGNORE_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DeployError(
            f"{path}: cannot be read ({error.strerror}); without it gcloud uploads nearly everything"
        ) from None
    for number, line in enumerate(lines, 1):
        if line.startswith(_DIRECTIVE):
            raise DeployError(f"{path}: line {number}: '{line}' is not understood here; write the patterns themselves")
    spec = GitIgnoreSpec.from_lines(lines)
    return Upload({name: (root / name).stat().st_size for name in _walk(root, PurePosixPath(), spec)})


def problems(upload: Upload, settings: Settings) -> list[str]:
    """What App Engine would refuse or miss, one line each; none when all is well."""
    found = [
        f"{name}: {size / MIB:.1f} MiB, a file may have {MAX_FILE_BYTES // MIB} MiB; "
        "export the model as fp16, or leave the file out in .gcloudignore"
        for name, size in upload.files.items()
        if size > MAX_FILE_BYTES
    ]
    if len(upload.files) > MAX_FILES:
        found.append(f"{len(upload.files):,} files, a version may have {MAX_FILES:,}; leave some out in .gcloudignore")
    needed = (FILE_NAME, "requirements.txt", *settings.static)
    found += [
        f"{name}: needed by App Engine, but .gcloudignore leaves it out or it does not exist"
        for name in needed
        if not any(PurePosixPath(name) in (file, *file.parents) for file in upload.files)
    ]
    return found


def copy_upload(root: Path, files: Iterable[PurePosixPath], target: Path) -> None:
    """Copy the files of an upload into an empty folder."""
    for name in files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, target / name)


def _walk(root: Path, folder: PurePosixPath, spec: GitIgnoreSpec) -> Iterator[PurePosixPath]:
    for entry in sorted((root / folder).iterdir()):
        name = folder / entry.name
        if entry.is_dir() and not entry.is_symlink():
            if not spec.match_file(f"{name}/"):
                yield from _walk(root, name, spec)
        elif not spec.match_file(str(name)):
            yield name
