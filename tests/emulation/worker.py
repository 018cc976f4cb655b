"""Runs the emulation's functions for emulator.py, in a process of its own.

Requests (function, arguments) come pickled on stdin; answers (error, result) go to stdout.
"""

import pickle
import sys


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    import kernel_emulation

    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            function, arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            answer = None, getattr(kernel_emulation, function)(*arguments)
        except kernel_emulation.EmulationError as error:
            answer = str(error), None
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
