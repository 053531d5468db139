"""Small valid files of every reader, and mutations of their bytes: each ends in samples or in an error of one sentence.

    python -m benchmarks.mutated_inputs --inputs 50000

Mutations are drawn from a fixed seed: bits flipped, bytes replaced, removed, repeated, cut off, and numbers set to extremes.
Inputs are read in child processes that are forked once for many inputs, so that a reader that ends its process is counted and
does not end the rest. The exit code is 1 if any input gave a traceback, ended its process, or took more than 20 seconds of the
processor, or 200 in all.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.small_inputs import Input, inputs, write_files
from tlbench.errors import TlbenchError

LIMIT_SECONDS, WAIT_SECONDS = 20, 200
"""Of the processor, for one input, and of the clock: other programs may run beside."""
MEMORY_BYTES = 24 * 2**30
"""The address space of a child: a reader that asks for more than an input can hold gets a MemoryError, which counts."""
SEED = 20260101
PROGRESS_INPUTS = 5000


class TookTooLongError(Exception):
    """An input that was not read within the limit."""


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content after one to four mutations."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        position, length = rng.randrange(len(changed) + 1), rng.choice((1, 1, 2, 4, 8, 64))
        kind = rng.randrange(8)
        if kind == 0 and changed:
            changed[position % len(changed)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[position : position + length] = rng.randbytes(length)
        elif kind == 2:
            del changed[position : position + length]
        elif kind == 3:
            changed[position:position] = changed[position : position + length] * rng.choice((1, 2, 100))
        elif kind == 4:
            del changed[position:]
        elif kind == 5:
            extreme = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            changed[position : position + length] = bytes([extreme]) * length
        elif kind == 6:
            text = rng.choice(
                (b"9" * 400, b"-1", b"1e999", b"nan", b"\0", b"\xff\xfe", b'"', b"{", b"[" * 2000, b"\n", b",", b"=")
            )
            changed[position : position + rng.choice((0, len(text)))] = text
        else:
            other = rng.randrange(len(changed) + 1)
            changed[position : position + length] = changed[other : other + length]
    return bytes(changed)


def outcome(one: Input, folder: Path, content: bytes) -> str:
    """What reading an input gives: `read`, `refused`, or the last lines of a traceback."""

    def expire(*_: object) -> None:
        raise TookTooLongError

    signal.signal(signal.SIGALRM, expire)
    signal.signal(signal.SIGPROF, expire)
    (folder / one.file).write_bytes(content)
    signal.alarm(WAIT_SECONDS)
    signal.setitimer(signal.ITIMER_PROF, LIMIT_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one.read(folder)
    except TlbenchError:
        return "refused"
    except TookTooLongError:
        return "took too long"
    except BaseException as error:
        frames = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-4:]]
        return f"{type(error).__name__}: {str(error)[:150]} ({' < '.join(reversed(frames))})"
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "read"


def _drawn(number: int, every: list[Input], folder: Path) -> tuple[Input, bytes]:
    """The input of a number, and its mutated content; the same for each run."""
    rng = random.Random(SEED + number)
    one = rng.choices(every, [one.weight for one in every])[0]
    return one, mutated((folder / "whole" / one.file).read_bytes(), rng)


def _child(start: int, stop: int, folder: Path, reports: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    every = inputs()
    sys.stdout = sys.stderr = io.StringIO()
    for one in every:  # what is imported at the first use is in no limit; the last child may have left a mutated file
        (folder / "mutated" / one.file).write_bytes((folder / "whole" / one.file).read_bytes())
        one.read(folder / "mutated")
    for number in range(start, stop):
        one, content = _drawn(number, every, folder)
        reports.send((number, one.name, None))
        reports.send((number, one.name, outcome(one, folder / "mutated", content)))
        (folder / "mutated" / one.file).write_bytes((folder / "whole" / one.file).read_bytes())


def outcomes(count: int, folder: Path, start: int = 0) -> Iterator[tuple[int, str, str]]:
    """The number, the name and the outcome of each input; a child process that dies is followed by another one."""
    stop, context = start + count, multiprocessing.get_context("fork")
    while start < stop:
        receiving, sending = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(start, stop, folder, sending))
        child.start()
        sending.close()
        name, ended = "", False
        while True:
            try:
                if not receiving.poll(WAIT_SECONDS * 2):
                    child.kill()  # a reader in compiled code that hears no signal
                start, name, text = receiving.recv()
            except EOFError:
                break
            ended = text is not None
            if text is not None:
                yield start, name, text
        child.join()
        if not name:
            raise RuntimeError("The valid files can't be read.")
        if not ended or child.exitcode:
            yield start, name, f"the process ended with {child.exitcode}"
        start += 1


def main() -> int:
    """Read mutated inputs, and print how each reader fared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=50_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    given = parser.parse_args()
    return 1 if summarized(given.inputs, given.first) else 0


def summarized(count: int, first: int = 0) -> int:
    """Read mutated inputs, print a line for each reader and for each fault, and return the number of faults."""
    counts: dict[str, Counter[str]] = {one.name: Counter() for one in inputs()}
    begun, faults = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for copy in ("whole", "mutated"):
            (folder / copy).mkdir()
            write_files(folder / copy)
        for number, reader, text in outcomes(count, folder, first):
            if number % PROGRESS_INPUTS == 0:
                print(f"input {number} after {time.monotonic() - begun:.0f} s", flush=True)
            is_fault = text not in ("read", "refused")
            counts[reader]["faults" if is_fault else text] += 1
            if is_fault:
                faults += 1
                print(f"input {number} of {reader}: {text}", flush=True)
    for reader, of_reader in counts.items():
        print(f"{reader:24} {of_reader['read']:6} read {of_reader['refused']:6} refused {of_reader['faults']:4} faults")
    print(f"{count} inputs in {time.monotonic() - begun:.0f} s: {faults} tracebacks, ended processes or hangs")
    return faults


if __name__ == "__main__":
    sys.exit(main())
