"""What the commands do, one file each: `run(args)` gets what `minidl/cli.py` parsed, and may return an exit code."""
