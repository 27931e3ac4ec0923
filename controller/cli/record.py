"""`hashbridge record FILE run ...`: a run whose every byte, on both ports and in both directions, is kept."""

from __future__ import annotations

from argparse import REMAINDER, ArgumentParser, Namespace

from controller.cli import run as run_verb
from drivers.errors import UsageError


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the recording, of several boards a directory; must not exist yet")
    parser.add_argument("run", metavar="run ...", nargs=REMAINDER, help="`run` and its options")


def run(arguments: Namespace) -> int:
    line = arguments.run[1:] if arguments.run[:1] == ["--"] else arguments.run
    if not line or line[0] != "run":
        raise UsageError(
            "record", " ".join(line), "FILE run OPTIONS, as in `hashbridge record wire.jsonl run --emulate X`"
        )
    parser = ArgumentParser(prog="hashbridge record FILE run", allow_abbrev=False)
    run_verb.add_arguments(parser)
    inner = parser.parse_args(line[1:], Namespace(verbose=arguments.verbose, quiet=arguments.quiet))
    if inner.record is not None:
        raise UsageError("--record", inner.record, f"only one recording; it goes to {arguments.file}")
    inner.record = arguments.file
    return run_verb.run(inner)
