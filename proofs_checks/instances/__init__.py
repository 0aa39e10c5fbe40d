"""The laws and times on which claims are checked: small named laws, the data in their own units, counterexamples."""
