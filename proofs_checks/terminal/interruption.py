"""How often the process was interrupted: libraries that load may turn that into any other error, and it is the interruption that is told."""

count = 0
