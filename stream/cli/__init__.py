"""The `ember` command.

Commands are imported when they are called, so that `ember --help` stays quick. An error that the
user can fix (`stream.errors.UserError`) ends as one sentence on stderr, here and nowhere else.
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
    "demo": "Run the service on a simulated fleet with injected faults.",
    "init": "Look at a topic or a file, and write the settings that fit.",
    "train": "Train a model on recorded telemetry.",
    "backtest": "Score recorded telemetry exactly as the service would.",
    "run": "Run a worker of the service.",
    "incidents": "Make one incident of keys that fire together.",
    "console": "Serve pages and an API of scores, alerts and documents.",
    "record": "Write the records of a topic to a file, as telemetry to train on.",
    "replay": "Send recorded telemetry to a topic.",
    "simulate": "Send the telemetry of a simulated fleet with faults.",
    "tail": "Follow anomalies, triggers, incidents, dead letters or scores.",
    "explain": "Explain an event: rarity, channels, episode.",
    "feedback": "Say that an event was a false alarm, real, or is normal now.",
    "doctor": "Check cluster, topics, records and model, and name the fixes.",
}
_MODULES = {"doctor": "doctor.command", "init": "init.command"}
"""Modules of commands that are not named like their command."""

_GROUPS = {
    "model": (
        "Inspect, compare, deploy and sign model bundles.",
        {
            "show": ("model.show:show", "Print the card of a bundle."),
            "diff": ("model.diff:diff", "Print the differences of two bundles."),
            "deploy": ("model.deploy:deploy", "Replace the bundle of the service."),
            "rollback": ("model.deploy:rollback", "Restore the bundle before the last deploy."),
            "history": ("model.topic:history", "Show the bundles of the model topic."),
            "reload": ("model.deploy:reload", "Let running workers reload settings and model."),
            "sign": ("model.sign:sign", "Sign a bundle."),
            "verify": ("model.sign:verify", "Check the signature of a bundle."),
            "shadow": ("model.shadow:shadow", "Compare the candidate with the model in service."),
            "import": (
                "model.import_:import_",
                "Convert an RBM of the older pipeline to a bundle, without running its pickle.",
            ),
        },
    ),
    "rules": (
        "Find rules that keep alerts quiet.",
        {"suggest": ("rules:suggest", "Propose the narrowest rule for given events.")},
    ),
    "bridge": (
        "Send alerts to other systems.",
        {
            "alertmanager": ("bridge:alertmanager", "Send alerts to Alertmanager."),
            "webhook": ("bridge:webhook", "Send Alertmanager's webhook payload to an address."),
            "slack": ("bridge:slack", "Send alerts to a Slack channel."),
            "pagerduty": ("bridge:pagerduty", "Send alerts to PagerDuty."),
            "email": ("bridge:email", "Send a digest of alerts by e-mail."),
        },
    ),
    "config": (
        "Inspect and check the settings.",
        {
            "show": ("config:show", "Print the effective settings, with the source of each."),
            "check": ("config:check", "Check the settings and name every mistake."),
            "schema": ("config:schema", "Print the JSON Schema of ember.toml."),
        },
    ),
    "topics": (
        "Prepare the topics and ACLs of the service.",
        {
            "plan": ("topics:plan", "Print the commands that create topics and ACLs."),
            "create": ("topics:create", "Create the missing topics."),
        },
    ),
    "state": (
        "Inspect, reset, export, import and rebase the state of keys.",
        {
            "show": ("state:show", "Print the state of a key, field by field."),
            "reset": ("state:reset", "Delete the state of keys."),
            "clock": ("state_clock:clock", "Print the clocks of partitions, and set them back."),
            "export": ("state_files:export", "Write all state to a file."),
            "import": ("state_files:import_", "Load state from a file into a group without state."),
            "rebase": (
                "state:rebase",
                "Accept the input topic as it is now: keys keep their state, offsets start anew.",
            ),
        },
    ),
    "control": (
        "Write rules, calendars and silences that running workers follow.",
        {
            "list": ("control.show:list_", "Show the documents in force."),
            "show": ("control.show:show", "Print one document."),
            "apply": ("control.apply:apply", "Write the documents of files, with a diff first."),
            "remove": ("control.apply:remove", "Remove documents."),
            "history": ("control.show:history", "Show who changed what, and when."),
            "export": ("control.show:export", "Print the documents as a file for apply."),
        },
    ),
    "triggers": (
        "Show the open alerts, and end those that no worker will end.",
        {
            "list": ("triggers:list_", "Show the open alerts."),
            "close": ("triggers:close", "Write the resolved trigger of open alerts."),
        },
    ),
    "dead-letters": (
        "Inspect refused records, and replay them.",
        {
            "list": ("dead_letters:list_", "Count dead letters by reason."),
            "show": ("dead_letters:show", "Show the newest dead letters."),
            "replay": ("dead_letters:replay", "Send dead letters to the topic they came from."),
        },
    ),
}
"""Groups of commands: help of the group, and place and help of every command."""


def build() -> App:
    """Build the whole command line."""
    app = App(
        name="ember",
        help="Anomaly detection for keyed telemetry on Kafka.",
        version=version,
        default_parameter=Parameter(negative=()),
    )
    for name, text in _COMMANDS.items():
        app.command(f"stream.cli.{_MODULES.get(name, name)}:{name}", name=name, help=text)
    for group_name, (group_text, commands) in _GROUPS.items():
        group = App(name=group_name, help=group_text)
        for name, (function, text) in commands.items():
            group.command(f"stream.cli.{function}", name=name, help=text)
        app.command(group)
    app.command(
        "stream.cli.schema:schema",
        name="schema",
        help="Print the JSON Schema of the events.",
    )
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Arguments after `ember`; None for those of the process.

    Returns:
        The exit code: 0 for success, 1 for failed work, 2 for wrong use.
    """
    _limit_blas_threads()
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
    except BrokenPipeError:  # `ember ... | head` ends when head closes the pipe
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
    except Exception as error:
        if not _is_of_a_broker(error):
            raise
        cause = error.args[0] if error.args else error
        print(
            f"The cluster refused the request: {cause}. Expected brokers that answer, also "
            "at the addresses that they give for each other (advertised.listeners). Look at it "
            "with `ember doctor`.",
            file=sys.stderr,
        )
        return 1
    return result if isinstance(result, int) else 0


def _limit_blas_threads() -> None:
    """Let BLAS use one thread; works only before NumPy is imported.

    The products are small, and BLAS threads spin on other cores: measured beside a broker on two
    cores, one thread gives four times the records per second. No result depends on it.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _is_about_files(error: Exception) -> bool:
    """Return True for the library's own errors about data and bundles."""
    return _is_any(
        error, ("ember_core.data.sources", "DataError"), ("ember_core.serialize", "BundleError")
    )


def _is_of_a_broker(error: Exception) -> bool:
    """Return True for errors of the two Kafka clients."""
    return _is_any(error, ("confluent_kafka", "KafkaException"), ("aiokafka.errors", "KafkaError"))


def _is_any(error: Exception, *kinds: tuple[str, str]) -> bool:
    """Return True for an error of one of some kinds, each a module and the name of a class."""
    # By name: importing the classes would import NumPy for every command.
    modules = ((sys.modules.get(module), name) for module, name in kinds)
    return any(m is not None and isinstance(error, getattr(m, name)) for m, name in modules)


def _wrong_use(app: App, error: CycloptsError) -> str:
    """Return the sentence for a wrong command line."""
    if isinstance(error, UnknownCommandError) and error.unused_tokens and not error.command_chain:
        # Cyclopts' own sentence would import every command to know their names.
        word = error.unused_tokens[0]
        names = [name for name in app if not name.startswith("-")]
        matches = difflib.get_close_matches(word, names, n=1)
        hint = f' Did you mean "{matches[0]}"?' if matches else ""
        return f'Unknown command "{word}".{hint} Available commands: {", ".join(names)}.'
    return str(error)


def _silence_stdout() -> None:
    """Point stdout at the null device: the interpreter flushes it once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
