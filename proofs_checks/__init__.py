"""Every statement of the theory as a claim with false twins, the report, and the command `singtheory`."""
