"""Options that several commands of singtheory share."""

from proofs_checks.terminal.arguments import SCHEDULE_HELP
from singtheory.schedule import SCHEDULES


def test_the_help_names_every_schedule():
    assert f"{', '.join(SCHEDULES)}, power:P or a scheduler_config.json." == SCHEDULE_HELP
