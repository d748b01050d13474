"""Fast forms of stages for several rows a key; `table` names the stage that each replaces."""
