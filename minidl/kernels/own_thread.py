"""Work that a signal handler must not interrupt: in a thread of its own.

Python runs signal handlers in the main thread, between any two steps of what it is doing there. A handler may raise an
exception, such as KeyboardInterrupt, or run an operation.
"""

import threading


def in_own_thread(job):
    """What `job()` returns or raises. The main thread only waits; another thread, which no handler interrupts, works.

    If a handler raises meanwhile, the job is finished all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        return job()
    outcome = []

    def work():
        try:
            outcome.append((job(), None))
        except BaseException as error:
            outcome.append((None, error))

    while not outcome:                           # again in a child that a handler has forked: the thread is not in it
        thread = threading.Thread(target=work, name="minidl-work")
        try:
            thread.start()
        except RuntimeError:                     # there can be no more threads, or Python is about to end
            return job()
        while thread.is_alive():
            thread.join(1)
    result, error = outcome[0]
    if error is not None:
        raise error
    return result
