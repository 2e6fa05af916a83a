"""python -m warmpack: the program itself, with the same words, output and exit status."""

import os
import signal
import sys

from ._program import Error, arguments_of, find_program


def main() -> int:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and the program not
        signal.signal(number, signal.SIG_DFL)
    try:
        with arguments_of(find_program(), inherit=True) as path:
            os.execv(path, ["warmpack", *sys.argv[1:]])
    except (Error, OSError) as error:
        print("warmpack: %s" % error, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
