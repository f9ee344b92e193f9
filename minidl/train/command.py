"""The one place where errors become sentences: a user's mistake on the command line shows no traceback.

Exit codes: 0 all is well; 1 the training failed; 2 the command asked for what cannot be done, or the machine refused;
130 and 143 stopped by Ctrl-C and SIGTERM. MINIDL_TRACEBACK=1 lets every error through, for whoever looks for a bug.
"""

import os
import signal
import sys

from minidl.device import DeviceError
from minidl.errors import sentence
from minidl.tensor import NonFiniteError
from minidl.train.interrupt import Interrupted


def run_main(main):
    """Call `main()` and leave Python: with its return value, or with one sentence on stderr and an exit code."""
    if os.environ.get("MINIDL_TRACEBACK") == "1":
        sys.exit(main())
    try:
        sys.exit(main())
    except NonFiniteError as error:
        leave(error, 1)
    except (DeviceError, OSError, ValueError, MemoryError) as error:  # ValueError: DataError, CheckpointError, RunError
        leave(error, 2)
    except Interrupted as stop:
        leave(stop, 128 + stop.signal)
    except KeyboardInterrupt:
        leave("stopped at once; what was saved is kept", 128 + signal.SIGINT)


def leave(message, code):
    """End with a sentence on stderr."""
    print(f"{os.path.basename(sys.argv[0])}: {sentence(message)}", file=sys.stderr)
    sys.exit(code)
