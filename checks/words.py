"""Word lists of the language check. `docs/glossary.md` explains the terms to use instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


QUESTIONS: Final = _words("what which who whom whose where when how why")

DOCSTRING_OPENERS: Final = QUESTIONS | _words("from of whether")
"""First words of a docstring that neither name a thing nor say what it does."""

PREPOSITIONS: Final = _words(
    "about above across after against along among around as at before behind below beneath beside "
    "between beyond by during for from in inside into near of off on onto over past per since "
    "through to toward towards under until up upon with within without"
)

ARGUMENT_OPENERS: Final = QUESTIONS | PREPOSITIONS
"""First words of an argument's description that cannot be read alone. `Whether` can."""

PRONOUNS: Final = _words(
    "all another any both each either every everything few he her here his its less many mine "
    "more most neither none nothing one ones other others ours own same several some something "
    "such that theirs them there these they this those us we yours"
)

PARTICIPLES: Final = _words(
    "asked asks became begun began brought came caught chosen comes did does done fallen fell felt "
    "found gave given goes gone got had has heard held joined judged kept knew known lacking laid "
    "lain learnt left let lost made makes meant met moved moves named needed paid picked put "
    "reached said saw says seen shown stood taken takes tells thought told took tried "
    "turned untold waited wanted was went were"
)
"""Verb forms that say something happened and leave open to which thing. Participles that name a
result of the field (`decoded`, `scored`, `sorted`, `committed`) are fine."""

PLACES: Final = _words(
    "again ahead alike anew apart aside away back else elsewhere far forth nearby "
    "place places rest still then together too whole"
)

VAGUE: Final = (QUESTIONS | PREPOSITIONS | PRONOUNS | PARTICIPLES | PLACES) - _words("all any")
"""Names that, alone, say nothing of a local variable's content."""

_WHAT_VERBS = (
    "is|was|were|are|be|being|has|had|have|came|comes|come|became|becomes|goes|went|makes|made|"
    "does|did|can|cannot|could|may|might|must|shall|should|will|would|fires|follows|happened|"
    "happens|holds|lies|needs|runs|stands|stays|differs|grows|changed|changes|belongs|brought|"
    "brings|gives|gave|keeps|kept|left|matters|remains|said|says|takes|took|waits|works"
)
WHAT_LINE: Final = rf"\bwhat (?:{_WHAT_VERBS})\b"
"""Lines where a clause stands in the place of a noun: `what is`, `what came`, `what has`."""

PRIVATE: Final[Mapping[str, str]] = {
    "Turns": "PackedRows",
    "LiquidTurns": "PackedRows",
    "turn": "step",
    "turns": "PackedRows",
    "decide_turns": "PackedRows",
    "spread": "expand",
    "ends": "last",
    "before": "previous",
    "follow": "ewma",
    "fade": "decayed_sum",
    "Graves": "TombstoneIndex",
    "graves": "TombstoneIndex",
    "Gone": "Tombstone",
    "gone_by": "Tombstone",
    "Fate": "Outcome",
    "fate": "outcome",
    "fates": "outcomes",
    "count_fates": "outcomes",
    "Foreign": "UnmigratedRows",
    "foreign": "UnmigratedRows",
    "Adopter": "RowMigrator",
    "Adopted": "RowMigrator",
    "adopt": "migrate",
    "adopted": "migrated",
    "unadopted": "unmigrated",
    "ours": "current",
    "theirs": "source",
    "Overflow": "Evictor",
    "overflow": "Evictor",
    "put_away": "evict",
    "put_aside": "unmigrated",
    "bring_back": "restore",
    "take_in": "restore",
    "make_room": "evict",
    "Walk": "SnapshotScan",
    "walk": "SnapshotScan",
    "departed": "evicted_during_scan",
    "Verdicts": "ScoredRows",
    "verdicts": "ScoredRows",
    "recall": "restore_fields",
    "Judge": "ModelVersion",
    "Judged": "ModelEpoch",
    "judge": "ModelVersion",
    "judge_of": "ModelVersion",
    "Former": "FormerModel",
    "judge_by": "switch_model",
    "announce": "schedule_switch",
    "Share": "PartitionSlice",
    "shares": "slices",
    "shares_of": "slices",
    "samples_of": "slices",
    "Silent": "IdleKey",
    "patience": "idle_after",
    "fallen_silent": "find_idle",
    "silent_before": "find_idle",
    "next_silence": "find_idle",
    "Edge": "Session",
    "edge": "Session",
    "Flow": "FetchLoop",
    "flow": "FetchLoop",
    "Pace": "FetchLoop",
    "pace": "FetchLoop",
    "Waiting": "PausedPartitions",
    "waiting": "PausedPartitions",
    "Ledger": "Positions",
    "ledger": "Positions",
    "GroupView": "GroupMembership",
    "heard_at": "last_heartbeat",
    "joined": "on_joined",
    "settled_ends": "wait_for_stable_offsets",
    "take_over": "fence_producer",
    "Facts": "PartitionStatus",
    "LogFacts": "LogStatus",
    "TopicFacts": "TopicStatus",
    "facts": "status",
    "Lookout": "ClusterMonitor",
    "lookout": "ClusterMonitor",
    "let_go": "release",
    "letting_go": "release",
    "patience_seconds": "shutdown_timeout_seconds",
    "letters": "dead_letters",
    "letters_replay": "redrive",
    "told": "sent",
    "untold": "unsent",
    "blamed": "top_channel",
    "mend": "fix",
    "frozen": "freeze",
    "choose_blocks": "choose_features",
    "opponent": "baseline",
    "say": "emit",
    "speak": "emit",
    "tell": "emit",
}
"""Private word -> term of the field. Leading underscores are ignored."""

COMMON: Final = _words(
    "adopted announce before ends facts fade flow follow foreign frozen joined judge mend ours "
    "overflow pace patience recall say shares speak spread tell theirs told turn untold waiting "
    "walk"
)
"""Private words that are also plain English. A parameter or a local variable of that name does not
count, only a module, a class, a function, a method or an attribute."""

PRIVATE_IN: Final[Mapping[str, str]] = {
    "before": "ember_core",
    "ends": "ember_core",
    "facts": "stream.kafka",
    "fade": "ember_core",
    "flow": "stream.kafka",
    "follow": "ember_core",
    "foreign": "stream.engine",
    "frozen": "ember_core",
    "joined": "stream.kafka",
    "patience": "stream.engine",
    "spread": "ember_core",
    "take_over": "stream",
    "turn": "ember_core",
    "waiting": "stream.kafka",
    "walk": "stream.engine",
}
"""Packages in which a word of plain English is private; elsewhere it has its usual meaning."""
