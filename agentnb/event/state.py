"""Apply the changes of an agent's state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Final

# Bytes of a state as JSON.  Each operation that copies may double it.
_MAX_STATE: Final = 10_000_000


def apply_patch(state: Any, patch: Sequence[dict[str, Any]]) -> Any:
    """Return ``state`` changed by a JSON Patch (RFC 6902), as data of its own.

    Raises:
        ValueError: an operation is invalid or does not fit; or the state would exceed 10 MB.
    """
    # Imported late: most agents have no state.
    from jsonpatch import JsonPatch, JsonPatchException
    from jsonpointer import JsonPointerException

    state, patch = deepcopy(state), deepcopy(patch)
    try:
        for operation in patch:
            state = JsonPatch([operation]).apply(state, in_place=True)
            if operation.get("op") == "copy" and len(json.dumps(state)) > _MAX_STATE:
                raise ValueError("the state would exceed 10 MB")
    except (JsonPatchException, JsonPointerException) as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"the state does not fit this change: {reason}") from error
    except (TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"this change of the state is invalid: {error!r}") from error
    return state
