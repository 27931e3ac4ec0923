"""The command `hashbridge`: finds the verb, lets its module read the rest of the line, turns errors into exit codes.

Nothing heavy is imported here: `hashbridge --version` has to answer within 100 ms, and only the module of the verb
that was asked for is loaded.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from controller import __version__
from controller.cli import VERBS, load
from controller.cli.exits import Exit, exit_for, explain
from drivers.errors import HashbridgeError


def build_parser() -> argparse.ArgumentParser:
    """The parser of the top level: options of the program itself, then a verb; the verb parses the rest itself."""
    verbs = "\n".join(f"  {name:<9} {summary}" for name, summary in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="hashbridge",
        description="Controller and firmware bridge for Bitcoin-mining ASIC boards.",
        epilog=f"verbs:\n{verbs}\n\n`hashbridge VERB --help` explains one verb. Exit codes: docs/cli.md.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"hashbridge {__version__}")
    add_talk_options(parser)
    parser.add_argument("verb", metavar="VERB", choices=tuple(VERBS), help=f"one of: {', '.join(VERBS)}")
    parser.add_argument("rest", metavar="...", nargs=argparse.REMAINDER, help="options of the verb")
    return parser


def add_talk_options(parser: argparse.ArgumentParser, *, inherit: bool = False) -> None:
    """-v and -q mean the same before and after the verb. `inherit`: keep what the top level was told."""
    default = argparse.SUPPRESS if inherit else 0
    parser.add_argument(
        "-v", "--verbose", action="count", default=default, help="say more; -vv logs every frame in hex"
    )
    quiet_default = argparse.SUPPRESS if inherit else False
    parser.add_argument("-q", "--quiet", action="store_true", default=quiet_default, help="say nothing but errors")


def set_up_logging(verbose: int, quiet: bool) -> None:
    """Log records go to stderr: warnings by default, everything down to the frames with -vv."""
    import logging  # 20 ms, which `--version` does without

    level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(stream=sys.stderr, level=level, format="%(levelname).1s %(name)s: %(message)s")
    logging.getLogger("asyncio").setLevel(max(level, logging.WARNING))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. Returns an exit code of `controller.cli.exits.Exit`; argparse itself leaves with 0 or 2."""
    options = build_parser().parse_args(argv)
    verb = load(options.verb)
    parser = argparse.ArgumentParser(
        prog=f"hashbridge {options.verb}",
        description=VERBS[options.verb].capitalize() + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verb.add_arguments(parser)
    add_talk_options(parser, inherit=True)
    arguments = parser.parse_args(options.rest, argparse.Namespace(verbose=options.verbose, quiet=options.quiet))
    set_up_logging(arguments.verbose, arguments.quiet)
    try:
        return int(verb.run(arguments))
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader of our data has left. Point stdout elsewhere, or the interpreter complains once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    except (HashbridgeError, OSError) as error:
        if arguments.verbose > 1:
            sys.excepthook(type(error), error, error.__traceback__)
        print(explain(error), file=sys.stderr)
        return exit_for(error)


if __name__ == "__main__":
    sys.exit(main())
