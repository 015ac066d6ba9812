"""How people reach the jobs. Today: the command line, drawn from the jobs' signatures."""
