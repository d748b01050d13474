"""Remarks on documents that are sound, and yet do less than their author may expect."""

from __future__ import annotations

from collections.abc import Iterable

from ember_core.data.sources import Remark
from stream.control import IDLE_KINDS, Document, Rule, Silence
from stream.control.times import moment


def remarks_of(documents: Iterable[Document], time: str) -> list[Remark]:
    """Return the remarks on silences that are over, rules that leave out all, and idle kinds.

    A silence that is over is no fault: a file in git may have it, and still has to apply.

    Args:
        documents: The documents.
        time: Present time, RFC 3339.
    """
    remarks, kinds, present = list[Remark](), set[str](), moment(time)
    for document in documents:
        if document.kind in IDLE_KINDS:
            kinds.add(document.kind)
        if isinstance(document.body, Silence):
            end = moment(document.body.until)
            if end is not None and present is not None and end <= present:
                text = f"the silence ended at {document.body.until}; remove it, or set a later end"
                remarks.append(Remark("ended_silence", text, document.key))
        if isinstance(document.body, Rule) and _ignores_all(document.body):
            text = "the rule leaves out all channels of all keys, so that the model alerts nobody"
            remarks.append(Remark("ignores_all", text, document.key))
    text = "a document of this kind is followed, and does not act in this version"
    return [*remarks, *(Remark("idle_kind", text, f"[[{kind}]]") for kind in sorted(kinds))]


def _ignores_all(rule: Rule) -> bool:
    return rule.ignore and all("*" in each for each in (rule.keys, rule.topics, rule.channels))
