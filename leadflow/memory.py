"""How often a process that runs for long looks for garbage: seldom, and not among what it was born with."""

import gc

# A batch of a thousand leads makes some ten thousand objects that all die by themselves; to look through
# everything that is loaded each time costs a batch, or a page, a fifth of its time.
THRESHOLDS = (10_000, 20, 20)


def settle() -> None:
    """To be called once, when everything is loaded: by each worker and each web process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
