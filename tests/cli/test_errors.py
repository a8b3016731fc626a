import errno
import signal
import subprocess
import sys

import pytest

from xray_chest_detection.cli.errors import exit_on_error


def test_a_reader_who_goes_away_ends_a_command_quietly():
    code = (
        "from xray_chest_detection.cli.errors import exit_on_error\n"
        "with exit_on_error():\n    for number in range(100_000):\n        print(number)"
    )
    command = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert command.stdout is not None
    assert command.stderr is not None
    command.stdout.readline()
    command.stdout.close()
    assert (command.stderr.read(), command.wait(timeout=60)) == (b"", 141)
    command.stderr.close()


@pytest.mark.parametrize(
    ("number", "status", "what"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_command_that_is_told_to_end_says_how_to_go_on(number, status, what):
    code = (
        "import time\nfrom xray_chest_detection.cli.errors import exit_on_error\n"
        "with exit_on_error():\n"
        "    try:\n        print('ready', flush=True)\n        time.sleep(60)\n"
        "    except KeyboardInterrupt as error:\n        raise type(error)('try again') from None\n"
    )
    command = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert command.stdout is not None
    command.stdout.readline()
    command.send_signal(number)
    _, message = command.communicate(timeout=60)
    assert (command.returncode, message) == (status, f"{what}; nothing half-written was left behind; try again\n")


def test_sigterm_is_as_it_was_after_a_command():
    before = signal.getsignal(signal.SIGTERM)
    with exit_on_error():
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_full_disk_anywhere_is_one_line(capsys):
    with pytest.raises(SystemExit) as end, exit_on_error():
        raise OSError(errno.ENOSPC, "No space left on device", "/somewhere/a.csv")
    assert end.value.code == 1
    message = "error: /somewhere/a.csv: the disk is full (No space left on device); free some space\n"
    assert capsys.readouterr().err == message
    with pytest.raises(PermissionError), exit_on_error():
        raise OSError(errno.EACCES, "Permission denied", "/somewhere/a.csv")
