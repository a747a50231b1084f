"""Update rules as mathematics: one file a rule or close family, each read like its paper."""
