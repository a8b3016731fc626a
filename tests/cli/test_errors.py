import subprocess
import sys


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
