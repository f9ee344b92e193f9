"""The commands of `minidl`, one file each: `add_arguments(parser)` declares the flags, `run(args)` does the work.

`run` may return an exit code. The table of all commands is in `minidl/cli.py`.
"""
