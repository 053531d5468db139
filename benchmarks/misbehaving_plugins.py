"""Methods that do what no method should do: each is the text of a plugin file, with the end that its case must have."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

TEMPLATE = '''"""A method that misbehaves: {title}."""
import torch
from tlbench import ShallowMethod
{top}

class Misbehaving(ShallowMethod):
    reads = frozenset({{"source"}})

    def fit(self, task):
{body}
        return lambda x: x[:, :1] @ torch.ones(1, task.classes)
'''
HONEST = TEMPLATE.format(title="not at all", top="", body="        means = task.source.x.mean(0)").replace(
    "x[:, :1] @ torch.ones(1, task.classes)", "torch.cdist(x, means[None]) @ torch.ones(1, task.classes)"
)
"""A method of a third party that behaves, whose numbers must not change."""


@dataclass(frozen=True)
class Misbehaving:
    """One kind of misbehaviour."""

    title: str
    """What the method does, as a predicate."""
    body: str
    """The lines of its `fit`."""
    ending: str
    """The words of the reason on its `failed` record; empty: its record is `done`."""
    note: str = ""
    """The words of a note on its record."""
    top: str = ""
    """Lines at the top of its file."""

    @property
    def text(self) -> str:
        """The plugin file."""
        body = textwrap.indent(textwrap.dedent(self.body).strip() or "pass", 8 * " ")
        return TEMPLATE.format(title=self.title, top=textwrap.dedent(self.top), body=body)


RAISES = {
    "lone_surrogate": Misbehaving("raises an error with half of a surrogate pair", 'raise ValueError("\\ud800 x")', "x (lone_"),
    "unprintable_error": Misbehaving(
        "raises an error whose text raises",
        """
        class Odd(Exception):
            def __str__(self):
                raise RuntimeError("no text")
        raise Odd
        """,
        "its text can't be read: __str__ raises RuntimeError",
    ),
    "long_error": Misbehaving(
        "raises an error of ten million characters", 'raise ValueError("x" * 10**7)', "xxx... (long_error.py:"
    ),
    "base_exception": Misbehaving(
        "raises a BaseException",
        """
        class Odd(BaseException):
            pass
        raise Odd("odd")
        """,
        "Odd: odd (base_exception.py:12)",
    ),
    "keyboard_interrupt": Misbehaving("raises KeyboardInterrupt", "raise KeyboardInterrupt", "KeyboardInterrupt (keyboard_"),
    "system_exit": Misbehaving("calls sys.exit", "import sys; sys.exit(0)", "SystemExit: 0 (system_exit.py:"),
    "recursion": Misbehaving(
        "calls itself without end",
        """
        def deeper(n):
            return deeper(n + 1) + 1
        deeper(0)
        """,
        "RecursionError: maximum recursion depth exceeded",
    ),
    "huge_allocation": Misbehaving("allocates a petabyte", "torch.empty(2**50)", "Out of memory"),
    "outputs_without_length": Misbehaving(
        "returns outputs whose length raises",
        """
        class Odd:
            def __len__(self):
                raise RuntimeError("no length")
        return lambda x: Odd()
        """,
        "predicts outputs of type Odd",
    ),
}
"""Methods that raise."""

ENDS_ITS_PROCESS = {
    "os_exit": Misbehaving("calls os._exit", "import os; os._exit(0)", "The worker process exited with code 0."),
    "segfault": Misbehaving("reads address 0", "import ctypes; ctypes.string_at(0)", "killed by signal 11 (SIGSEGV)"),
    "kills_itself": Misbehaving("sends itself SIGKILL", "import os, signal; os.kill(os.getpid(), 9)", "killed by signal 9"),
    "closes_every_descriptor": Misbehaving(
        "closes all file descriptors", "import os; os.closerange(0, 4096)", "lost its connection to the run"
    ),
    "closes_and_sleeps": Misbehaving(
        "closes all file descriptors and sleeps",
        "import os, time; os.closerange(0, 4096); time.sleep(600)",
        "lost its connection to the run",
    ),
}
"""Methods that end their process, or cut it off; a case is tried three times."""

NEVER_ENDS = {
    "endless_loop": Misbehaving("loops without end", "while True: pass", "The case ran longer than --timeout"),
    "stubborn_loop": Misbehaving(
        "loops without end and catches everything",
        """
        while True:
            try:
                while True: pass
            except BaseException:
                pass
        """,
        "The case ran longer than --timeout",
    ),
    "stops_itself": Misbehaving(
        "sends itself SIGSTOP", "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", "and its worker was killed"
    ),
}
"""Methods that never end."""

LEAVES_SOMETHING = {
    "leaves_a_child": Misbehaving(
        "leaves a forked child behind",
        """
        import os, time
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
        """,
        "",
    ),
    "forks_and_returns": Misbehaving("forks, and both processes return", "import os; os.fork()", ""),
    "leaves_a_daemon": Misbehaving(
        "starts a program in a session of its own",
        """
        import subprocess
        subprocess.Popen(["sleep", "600"], start_new_session=True)
        """,
        "",
    ),
    "dies_with_a_child": Misbehaving(
        "leaves a forked child behind and dies",
        """
        import os, time
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
        os._exit(3)
        """,
        "exited with code 3",
    ),
    "leaves_a_thread": Misbehaving(
        "leaves a thread behind that never ends",
        """
        import threading, time
        threading.Thread(target=time.sleep, args=(600,)).start()
        """,
        "",
    ),
    "failing_atexit": Misbehaving(
        "registers a function for the exit that raises", "import atexit; atexit.register(lambda: 1 / 0)", ""
    ),
}
"""Methods that leave processes, threads or functions behind."""

PRINTS = {
    "prints": Misbehaving("prints", 'print("{}\\nnot an event")', "", top='print("printed by the import")'),
    "writes_to_descriptors": Misbehaving(
        "writes to the descriptors of the standard streams",
        """
        import os, sys
        os.write(1, b"not an event\\n")
        sys.stdout.buffer.write(b"not an event\\n")
        sys.__stdout__.write("not an event\\n")
        sys.stdout.buffer.flush()
        """,
        "",
    ),
    "closes_streams": Misbehaving(
        "closes the standard streams", "import os; [os.close(n) for n in (0, 1, 2)]", "", "standard streams"
    ),
    "no_stdout": Misbehaving(
        "sets sys.stdout and sys.stderr to None", "import sys; sys.stdout = sys.stderr = None", "", "the standard streams"
    ),
}
"""Methods that print, where standard output carries events, and methods that close the standard streams."""

CHANGES_STATE = {
    "changes_directory": Misbehaving("changes the working directory", 'import os; os.chdir("/")', "", "the working directory"),
    "removes_directory": Misbehaving(
        "deletes its working directory",
        "import os, tempfile; os.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd())",
        "",
        "the working directory",
    ),
    "torch_settings": Misbehaving(
        "changes torch's default dtype, threads, gradient mode, deterministic mode and random numbers",
        """
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(7)
        torch.use_deterministic_algorithms(True)
        torch.set_grad_enabled(True)
        torch.manual_seed(1)
        x = task.source.x
        torch.set_default_dtype(torch.float64)
        return lambda x: (x[:, :1] @ torch.ones(1, task.classes, dtype=x.dtype))
        """,
        "",
        "torch's default dtype",
    ),
    "replaces_torch_functions": Misbehaving(
        "replaces functions of torch",
        """
        linear = torch.nn.functional.linear
        torch.nn.functional.linear = lambda *a, **k: linear(*a, **k) + 1
        torch.cdist = lambda a, b, **k: torch.zeros(len(a), len(b))
        torch.nn.functional.cross_entropy = lambda *a, **k: torch.tensor(0.0, requires_grad=True)
        """,
        "",
        top="import torch.nn.functional\ntorch.nn.Linear.forward = lambda self, x: x[:, :1] * 0",
    ),
    "environment": Misbehaving(
        "empties the environment", "import os; os.environ.clear(); os.environ['TLBENCH_DATA'] = '/nowhere'", "", "environment"
    ),
    "warnings_as_errors": Misbehaving("turns warnings into errors", 'import warnings; warnings.simplefilter("error")', ""),
    "signal_handlers": Misbehaving(
        "ignores signals",
        "import signal; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]",
        "",
        "signal handlers",
    ),
    "no_garbage_collection": Misbehaving(
        "turns the garbage collector off", "import gc; gc.disable()", "", "the garbage collector"
    ),
    "empty_path": Misbehaving("empties sys.path", "import sys; sys.path.clear()", "", "sys.path"),
    "logging_off": Misbehaving(
        "turns logging off and sends it to standard output",
        """
        import logging, sys
        logging.basicConfig(stream=sys.stdout, level=0, force=True)
        logging.warning("not an event")
        logging.disable(logging.CRITICAL)
        """,
        "",
        "logging",
    ),
    "overwrites_its_samples": Misbehaving(
        "overwrites the samples that it gets", "task.source.x.zero_(); task.source.y.zero_()", ""
    ),
    "odd_notes": Misbehaving(
        "writes notes that are no text", 'self.note("\\ud800" * 10**6); self.note(7); self.note(b"x")', ""
    ),
}
"""Methods that change what all code of a process shares."""

PLUGINS = RAISES | ENDS_ITS_PROCESS | NEVER_ENDS | LEAVES_SOMETHING | PRINTS | CHANGES_STATE
