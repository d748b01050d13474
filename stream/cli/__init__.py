"""The `ember` command.

Commands are imported when they are called, so that `ember --help` stays quick. An error that is the
user's to mend (`stream.errors.UserError`) ends as one sentence on stderr, here and nowhere else.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter, UnknownCommandError

from stream.errors import UserError
from stream.version import version

_COMMANDS = {
    "demo": "See it work: embedded broker, simulated fleet, injected faults.",
    "train": "Train a model on recorded telemetry.",
    "backtest": "Score recorded telemetry exactly as the service would.",
    "run": "Run the service: telemetry in, alerts out.",
    "replay": "Send recorded telemetry to a topic.",
    "simulate": "Send the telemetry of a simulated fleet, faults and all.",
    "tail": "Follow anomalies, triggers or dead letters.",
    "explain": "Say why an event was published: rarity, channels, episode.",
    "doctor": "Check cluster, topics, records and model, and name what to mend.",
}
_MODULES = {"doctor": "doctor.command"}


def build() -> App:
    """The whole command line."""
    app = App(
        name="ember",
        help="Anomaly detection for keyed telemetry on Kafka.",
        version=version,
        default_parameter=Parameter(negative=()),
    )
    for name, text in _COMMANDS.items():
        app.command(f"stream.cli.{_MODULES.get(name, name)}:{name}", name=name, help=text)
    model = App(name="model", help="Look at model bundles, compare them, bring one into service.")
    for name, where, text in (
        ("show", "show:show", "Print a bundle's card."),
        ("diff", "diff:diff", "Say what differs between two bundles."),
        ("deploy", "deploy:deploy", "Put a bundle in the place of the service's."),
        ("rollback", "deploy:rollback", "Take the bundle before back."),
        ("reload", "deploy:reload", "Let running workers read settings and model again."),
        ("sign", "sign:sign", "Sign a bundle."),
        ("verify", "sign:verify", "Check a bundle's signature."),
        ("shadow", "shadow:shadow", "Compare the candidate with the model in service."),
    ):
        model.command(f"stream.cli.model.{where}", name=name, help=text)
    model.command(
        "stream.cli.model.import_:import_",
        name="import",
        help="Bring an RBM of the older pipeline into a bundle, without running its pickle.",
    )
    app.command(model)
    bridge = App(name="bridge", help="Take triggers to whoever wakes people up.")
    bridge.command(
        "stream.cli.bridge:alertmanager",
        name="alertmanager",
        help="Send what fires to Alertmanager.",
    )
    app.command(bridge)
    config = App(name="config", help="Look at the settings.")
    for name, text in (
        ("show", "Print the effective settings, secrets masked, and where each is from."),
        ("check", "Check the settings and say what is wrong with them."),
        ("schema", "Print the JSON Schema of ember.toml."),
    ):
        config.command(f"stream.cli.config:{name}", name=name, help=text)
    app.command(config)
    topics = App(name="topics", help="The topics and rights the service needs.")
    topics.command("stream.cli.topics:plan", name="plan", help="Print the commands that make them.")
    topics.command("stream.cli.topics:create", name="create", help="Create the missing topics.")
    app.command(topics)
    state = App(name="state", help="Look at what the service remembers; forget, carry over, mend.")
    for name, where, text in (
        ("show", "state:show", "Print what is remembered of a key, field by field."),
        ("reset", "state:reset", "Forget keys: they begin anew."),
        ("export", "state_files:export", "Write all state to a file."),
        (
            "import",
            "state_files:import_",
            "Take state from such a file into a group that has none.",
        ),
        (
            "rebase",
            "state:rebase",
            "Accept the log as it is: keys keep their memory, offsets start anew.",
        ),
    ):
        state.command(f"stream.cli.{where}", name=name, help=text)
    app.command(state)
    letters = App(name="dead-letters", help="What was refused; send it once more.")
    for name, where, text in (
        ("list", "list_", "Count dead letters by reason."),
        ("show", "show", "Show the newest dead letters."),
        ("replay", "replay", "Send dead letters to the topic they came from once more."),
    ):
        letters.command(f"stream.cli.dead_letters:{where}", name=name, help=text)
    app.command(letters)
    app.command(
        "stream.cli.schema:schema",
        name="schema",
        help="Print the JSON Schema of the events.",
    )
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: What follows `ember`; None takes the process's own.

    Returns:
        The exit code: 0 done, 1 the work failed, 2 wrong use.
    """
    _one_thread_for_blas()
    app = build()
    try:
        result = app(
            list(sys.argv[1:] if arguments is None else arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except UserError as error:
        print(error.message, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `ember ... | head` is over when head has seen enough
        _silence_stdout()
        return 0
    except CycloptsError as error:
        print(_wrong_use(app, error), file=sys.stderr)
        return 2
    except ValueError as error:
        if not _is_about_files(error):
            raise
        print(error, file=sys.stderr)
        return 1
    return result if isinstance(result, int) else 0


def _one_thread_for_blas() -> None:
    """Before NumPy is imported: the products are small, and BLAS threads spin on other cores.

    Measured beside a broker on two cores: four times the records per second. No result depends
    on it.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _is_about_files(error: ValueError) -> bool:
    """True for the library's own sentences about data and bundles (which are not imported here)."""
    kinds = (("ember_core.data.sources", "DataError"), ("ember_core.serialize", "BundleError"))
    modules = ((sys.modules.get(module), name) for module, name in kinds)
    return any(m is not None and isinstance(error, getattr(m, name)) for m, name in modules)


def _wrong_use(app: App, error: CycloptsError) -> str:
    """The sentence for a wrong command line."""
    if isinstance(error, UnknownCommandError) and error.unused_tokens and not error.command_chain:
        # Cyclopts' own sentence would import every command to know their names.
        word = error.unused_tokens[0]
        names = [name for name in app if not name.startswith("-")]
        near = difflib.get_close_matches(word, names, n=1)
        hint = f' Did you mean "{near[0]}"?' if near else ""
        return f'Unknown command "{word}".{hint} Available commands: {", ".join(names)}.'
    return str(error)


def _silence_stdout() -> None:
    """Nothing may complain when the interpreter flushes stdout at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
