"""A claim and what runs it: its checks, its false twins, and how measured numbers become outcomes."""
