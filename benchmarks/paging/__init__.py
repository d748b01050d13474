"""An operator's figures: what pages a detector sends, against the faults there were."""
