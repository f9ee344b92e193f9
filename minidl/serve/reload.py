"""Model files that are replaced while the server runs."""

import asyncio

from minidl.errors import sentence
from minidl.serve.models import Served, Stamp
from minidl.serve.state import State

SECONDS = 1.0                                    # between two looks at the files


async def watch(state: State) -> None:
    """Load each file that was replaced, until cancelled. Requests under way keep the network that they have."""
    before: list[tuple[str, Stamp]] = []
    while True:
        await asyncio.sleep(SECONDS)
        replaced = state.models.replaced()
        for name, stamp in replaced:
            if (name, stamp) in before:          # it did not change since the last look: it is complete
                await reload(state, name, stamp)
        before = replaced


async def reload(state: State, name: str, stamp: Stamp) -> None:
    """Replace one network, unless its new file is unusable."""
    path = state.models.files[name]
    try:
        loop = asyncio.get_running_loop()
        served = await loop.run_in_executor(state.batches.decoders, Served, name, path, state.models.create)
        await state.batches.compute(served.warm_up)
    except Exception as error:
        state.models.failed[name] = stamp
        state.log.event(f"{path} was replaced, but the model that was loaded stays: {sentence(error)}", "warning")
        return
    state.models.loaded[name] = served
    state.log.event(f"{path} was replaced and is loaded", model=name)
